"""Is the other end of an open tunnel still there? When to probe, and how long is too long.

A probe is an echo request to the VM. One that is missing is not the end, but the next ones follow
quickly; whatever else the VM's side sent meanwhile is a sign of life too. The end is a silence of
`SILENCE_S` in which several probes went out: a process that was kept from running counts nothing.
A way that has just changed is given the time to find its neighbours, once a sign of life.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# RFC 4861 section 10, RETRANS_TIMER; the kernel's ARP takes as long
RESOLVE_S: Final = 1.0  # from one question for a neighbour to the next
# ours
PROBE_S: Final = 0.4  # while every probe is answered
MISSING_S: Final = 0.1  # without an answer, beyond the usual time: the probe is missing
AGAIN_S: Final = 0.05  # between probes while one is missing
SILENCE_S: Final = 0.85  # beyond twice the usual time: noticed and taken down within the second
LEAST_PROBES: Final = 6  # unanswered ones; eight go out in that time
_SMOOTHING: Final = 8  # RFC 6298, section 2: alpha is 1/8


@dataclass(slots=True)
class Pulse:
    """From the first answer on."""

    alive_s: float  # the last sign of life
    round_trip_s: float  # smoothed
    _probe_s: float = field(init=False)  # when the next one is due
    _sent: dict[int, float] = field(default_factory=dict)  # unanswered ones: number -> time
    _received: int | None = None  # counter, while a probe is missing
    _granted_s: float = 0.0  # beyond the last sign of life, for a way that changed

    def __post_init__(self) -> None:
        self._probe_s = self.alive_s + PROBE_S

    @property
    def missing(self) -> bool:
        """Is a probe unanswered for longer than usual?"""
        return len(self._sent) > 1

    @property
    def settled(self) -> bool:
        """Has the last probe been answered? Those before it went the same way."""
        return not self._sent

    def way_changed(self, now_s: float) -> None:
        """Look at once."""
        self._probe_s = now_s
        if not self._granted_s:
            self._granted_s = now_s + RESOLVE_S - self.alive_s

    def probed(self, now_s: float, number: int) -> None:
        """A probe of that number goes out."""
        self._probe_s = now_s + (AGAIN_S if self._sent else MISSING_S + self.round_trip_s)
        self._sent[number] = now_s

    def answered(self, now_s: float, number: int) -> None:
        """The VM answered that one; a late or unknown number is life, but tells no time."""
        if number in self._sent:
            self.round_trip_s += (now_s - self._sent[number] - self.round_trip_s) / _SMOOTHING
        self._alive(now_s)

    def received(self, now_s: float, count: int) -> None:
        """So many bytes have come out of the tunnel so far; asked while a probe is missing."""
        if self._received is not None and count > self._received:
            self._alive(now_s)
        else:
            self._received = count

    def due(self, now_s: float) -> bool:
        """Is a probe due?"""
        return now_s >= self._probe_s

    def lost(self, now_s: float) -> bool:
        """Has the silence lasted too long?"""
        end_s = self.alive_s + self._granted_s + SILENCE_S + 2 * self.round_trip_s
        return now_s >= end_s and len(self._sent) >= LEAST_PROBES

    def next_s(self) -> float:
        """When to look again."""
        return self._probe_s

    def _alive(self, now_s: float) -> None:
        self.alive_s = now_s
        self._probe_s = now_s + PROBE_S
        self._sent.clear()
        self._received = None
        self._granted_s = 0.0
