"""What the record is held against: a number outside the disk that only goes up, as a port.

With none, an older copy of the whole directory, put back while nothing runs, can't be seen from
here; the centre sees it, because the boot counter of hello goes back.
"""

from __future__ import annotations

from typing import Protocol

from typing_extensions import override

from sdbox_agent.errors import Fault


class Counter(Protocol):
    """Durable when `advance` returns. After a call that raised, `value` says what became of it."""

    def value(self) -> int:
        """Where it stands. Raises Fault: "counter-lost" if there is no counter there."""

    def advance(self) -> int:
        """One up; where it stands then. Raises Fault, and then it may have gone up or not."""


class ModelCounter(Counter):
    """One in memory: the double that the tests use.

    `at` is the number of the `advance` (from 0) in which `trouble` is raised, before the step or
    after it; the trouble is a power cut, or the chip's Fault.
    """

    def __init__(self, stands: int = 0) -> None:
        self.stands = stands
        self.steps = 0
        self.at: int | None = None
        self.trouble: Exception = Fault("tpm-away")
        self.taken = False  # has the step been taken when the trouble comes?

    @override
    def value(self) -> int:
        return self.stands

    @override
    def advance(self) -> int:
        number, self.steps = self.steps, self.steps + 1
        if number != self.at:
            self.stands += 1
            return self.stands
        self.stands += self.taken
        raise self.trouble
