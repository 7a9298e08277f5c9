"""From captures to one probe worth an attempt: tells why when a touch wasn't, and takes none twice.

A touch that would do, but has something that spoils it, is put aside: the person hears what to
change and touches again. Once a transaction: skin that is always so, or a sensor that shows it
so, must shut nobody out, and the better of the two is taken.

Knows a sensor and what it is given to judge by; knows no detector, no comparison and no process.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from sdbox_agent.errors import AskAgain

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from sdbox_agent.sensor.port import Sensor
    from sdbox_agent.sensor.replay import Replays

# -- ours ----------------------------------------------------------------------------------------

CAPTURE_S: Final = 60.0  # a whole transaction; the core's own deadline comes first


class Judged(Protocol):
    """What a probe is to a scan."""

    @property
    def quality(self) -> int:
        """0..100: of those put aside the best is taken."""

    @property
    def spoilt(self) -> str | None:
        """What the person could do better (an AskAgain code), if anything."""


Probe = TypeVar("Probe", bound=Judged)


class Scanner(Generic[Probe]):
    """The scans of one transaction on an open sensor."""

    def __init__(
        self,
        sensor: Sensor,
        captures: int,
        replays: Replays,
        judge: Callable[[NDArray[np.uint8]], Probe],
    ) -> None:
        """`captures` at most in a scan; `judge` makes a probe of pixels, or raises AskAgain."""
        self._sensor = sensor
        self._captures = captures
        self._judge = judge
        self._replays = replays
        self._touched = False  # in this transaction
        self._asked = False  # in this transaction, for a better touch than one that would do

    def scan(self, interrupt_fd: int, hint: Callable[[str], None], *, choosy: bool = True) -> Probe:
        """Capture until a probe is worth an attempt; `hint` is told what the person may do.

        Unless `choosy`, one that something spoils is taken too: where the attempt is spent already.

        Raises:
            AskAgain: the last capture's why, or finger-timeout.
            Refused: replayed-sample.
            Interrupted, Fault: as the sensor.
        """
        why = AskAgain("finger-poor")
        aside: Probe | None = None
        for _ in range(self._captures):
            try:
                frame = self._sensor.capture(
                    CAPTURE_S,
                    interrupt_fd,
                    lambda: hint("place-finger"),
                    functools.partial(self._early, hint),
                )
                self._touched = True
                probe = self._judged(frame.pixels)
            except AskAgain as error:
                if error.code == "finger-timeout":
                    raise
                why = error
                hint(error.code)
                continue
            if probe.spoilt is not None and choosy and not self._asked:
                self._asked = True
                aside = probe
                hint(probe.spoilt)
                continue
            if aside is not None and probe.spoilt is not None and aside.quality >= probe.quality:
                return aside
            return probe
        if aside is None:
            raise why
        return aside

    def _judged(self, pixels: NDArray[np.uint8]) -> Probe:
        """What the frame is worth. A frame is taken once; one without a finger is none to take.

        A sensor that is dazzled twice gives the same white twice: that is nobody's replay.
        """
        try:
            probe = self._judge(pixels)
        except AskAgain as error:
            if error.code != "finger-poor":
                self._replays.take(pixels)
            raise
        self._replays.take(pixels)
        return probe

    def _early(self, hint: Callable[[str], None]) -> None:
        """A finger lies there already. Who has touched before was told why once more is needed."""
        if not self._touched:
            hint("lift-and-place")
