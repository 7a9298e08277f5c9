"""What a finger sensor is to us: open, one frame at a time, close.

The contract (tests/sensor/test_port.py holds both implementations to it): a capture ends by a
frame, by what the person can mend (AskAgain), by a Fault, by its deadline, or at once when
`interrupt_fd` becomes readable; after any of these but a Fault the next capture may start. What lay
on the sensor, or in a buffer of its driver, before the person was asked is never a frame.
Knows pixels, not minutiae.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override

from sdbox_agent.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

MIN_SIDE_PX: Final = 96  # libfprint's detector dies below 16; no finger fits below this
MAX_SIDE_PX: Final = 1000


class Interrupted(Exception):  # noqa: N818  a state, told as an exception
    """The capture was given up: `interrupt_fd` has something to say."""


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One image: uint8 (height, width), ridges dark, row 0 at the top."""

    pixels: NDArray[np.uint8]

    @override
    def __repr__(self) -> str:
        return "<Frame>"


class Sensor(Protocol):
    """One sensor, used by one thread."""

    driver: str  # libfprint's id of its driver, once it is open

    def open(self) -> None:
        """Take the sensor. Raises Fault sensor-missing or sensor-failed."""

    def capture(
        self,
        deadline_s: float,
        interrupt_fd: int,
        waiting: Callable[[], None],
        early: Callable[[], None] = lambda: None,
    ) -> Frame:
        """Wait for a finger and give its frame; call `waiting` once the sensor is empty and ready.

        A finger that is there before is let go by and not taken; `early` is called, once, so that
        the person can be told.

        Raises AskAgain (too-short-touch, centre-finger, lift-and-place, finger-poor; finger-timeout
        after `deadline_s`), Interrupted, Fault (sensor-missing when unplugged, sensor-failed).
        """

    def close(self) -> None:
        """Let go. Safe to call twice, and when nothing was opened."""


def check_size(width: int, height: int) -> None:
    """Raise Fault("sensor-failed") for an image that no fingerprint sensor takes."""
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in (width, height)):
        raise Fault("sensor-failed")
