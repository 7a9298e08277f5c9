"""A sensor that plays a list, for tests of what uses a sensor: the port's double."""

from __future__ import annotations

import select
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdbox_agent.errors import AskAgain, Fault, SdboxError
from sdbox_agent.sensor.port import Frame, Interrupted, check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Early:
    """A step: this lies on the sensor before the person is asked."""

    pixels: NDArray[np.uint8]


class ScriptedSensor:
    """Each capture takes the next step: pixels, an error, or (None, or no step left) nothing.

    Early ones are not steps of their own: the capture goes on with what follows them.
    """

    driver = "scripted"

    def __init__(self, steps: Iterable[NDArray[np.uint8] | SdboxError | Early | None]) -> None:
        self._steps = deque(steps)
        self._open = False

    def open(self) -> None:
        """As the port."""
        self._open = True

    def capture(
        self,
        deadline_s: float,
        interrupt_fd: int,
        waiting: Callable[[], None],
        early: Callable[[], None] = lambda: None,
    ) -> Frame:
        """As the port."""
        if not self._open:
            raise Fault("sensor-failed")
        found = 0
        while self._steps and isinstance(self._steps[0], Early):
            self._steps.popleft()
            found += 1
        if found:
            early()
        waiting()
        step = self._steps.popleft() if self._steps else None
        if step is None:
            readable, _, _ = select.select([interrupt_fd], [], [], deadline_s)
            if readable:
                raise Interrupted
            raise AskAgain("finger-timeout")
        if isinstance(step, SdboxError):
            raise step
        assert not isinstance(step, Early)
        check_size(step.shape[1], step.shape[0])
        return Frame(step)

    def close(self) -> None:
        """As the port."""
        self._open = False
