"""The oracle: of every frame that left a box it says what it was, or that it was a leak.

    with Oracle(topology.cable, allowed, granted) as oracle:
        ...
        oracle.ask()  # raises Leaked; leaving asks too

WireGuard may pass while an endpoint is granted and at no other time; whoever wraps a scenario says
when that was, from what it did itself (a card put in, a tunnel asked for), never from what the box
tells. Counts of a whole run are summed in `RUN`.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from typing_extensions import override

from hil.net.allowed import UNREAD, Allowed, Classifier, Kind
from hil.net.observe import Tap
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hil.net.observe import Cable

_SHOWN_BYTES: Final = 64  # of a leaked frame
_SHOWN: Final = 10  # leaked frames in a complaint
T = TypeVar("T")

_OF_A_GRANT: Final = frozenset({Kind.WIREGUARD, Kind.CARRIER})


@dataclass(frozen=True, slots=True)
class Span:
    """While an endpoint was granted; CLOCK_MONOTONIC, `end_ns` None while it still is."""

    start_ns: int
    end_ns: int | None = None

    def holds(self, time_ns: int) -> bool:
        """Was that within?"""
        return self.start_ns <= time_ns and (self.end_ns is None or time_ns <= self.end_ns)


ALWAYS: Final = (Span(0),)


@dataclass(slots=True)
class Tally:
    """Frames of one run, over all its oracles."""

    frames_seen: int = 0
    leaked_frames: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


RUN: Final = Tally()  # this process's


class Leaked(AssertionError):  # noqa: N818  a verdict
    """Something left the box that must not."""


class Oracle(Tap):
    """Judges what comes out of a box's cable, from `with` to its end."""

    def __init__(
        self,
        cable: Cable,
        allowed: Allowed,
        granted: Callable[[], Sequence[Span]] = lambda: ALWAYS,
        tally: Tally = RUN,
    ) -> None:
        """`granted`: all spans so far; asked only when a verdict is."""
        super().__init__(cable, self._judge)
        self._classifier = Classifier(allowed)
        self._granted = granted
        self._tally = tally
        self._walled_ns: int | None = None
        self._pending: deque[tuple[int, Kind, bytes]] = deque()  # allowed at some times only
        self._leaks: deque[str] = deque()

    def walled(self) -> None:
        """From now on the walls stand: not even a kernel's own first words may pass."""
        self._walled_ns = time.monotonic_ns()

    def ask(self) -> None:
        """Raises Leaked for what has leaked since it was asked last."""
        self.catch_up()
        self._decide()

    @override
    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self._classifier.unread:  # nothing more will come to fill it
            self._leaked(UNREAD, b"")
        if not any(error):
            self._decide()

    def _judge(self, frame: bytes, time_ns: int, outgoing: bool) -> None:  # noqa: FBT001
        if outgoing:
            return  # to the box
        self._tally.frames_seen += 1
        try:
            kind = self._classifier.kind(frame)
        except DecodeError as reason:
            self._leaked(str(reason), frame)
            return
        self._tally.kinds[kind.name.lower()] += 1
        if kind in _OF_A_GRANT or kind is Kind.SETTING_UP:
            passed_ns = time_ns - (time.time_ns() - time.monotonic_ns())
            self._pending.append((passed_ns, kind, frame[:_SHOWN_BYTES]))

    def _decide(self) -> None:
        pending = _emptied(self._pending)
        granted = self._granted()  # after what is judged by it has passed
        for passed_ns, kind, frame in pending:
            if kind is Kind.SETTING_UP:
                if self._walled_ns is not None and passed_ns > self._walled_ns:
                    self._leaked("a kernel's first words, through the walls", frame)
            elif not any(span.holds(passed_ns) for span in reversed(granted)):
                self._leaked(f"{kind.value}, not granted", frame)
        if leaks := _emptied(self._leaks):
            more = f", and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
            raise Leaked("; ".join(leaks[:_SHOWN]) + more)

    def _leaked(self, reason: str, frame: bytes) -> None:
        self._tally.leaked_frames += 1
        self._leaks.append(f"{reason}: {frame[:_SHOWN_BYTES].hex()}")


def _emptied(queue: deque[T]) -> list[T]:
    """What is in it by now; the tap's thread may go on filling it."""
    return [queue.popleft() for _ in range(len(queue))]
