"""A line as a tunnel's life sees it, on a clock of its own: delay, loss, and what it swallows."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from sdbox_agent.tunnel.life import Do, Life, Probe
from sdbox_agent.tunnel.mtu import MOST_BYTES, Width

if TYPE_CHECKING:
    import random

SMALL_BYTES = 44  # an IPv4 probe


class Line:
    """Runs a life on its own deadlines. Everything may be changed while it runs."""

    def __init__(
        self,
        life: Life | None = None,
        *,
        round_trip_s: float = 0.002,
        loss: float = 0.0,
        chance: random.Random | None = None,
    ) -> None:
        self.life = life or Life(0.0, 1e9, Width(MOST_BYTES, 496))
        self.round_trip_s = round_trip_s
        self.loss = loss  # of a probe or its answer
        self.chance = chance
        self.passes_bytes = 1500  # nothing larger
        self.greets = True  # the gateway answers a handshake
        self.vm = True
        self.received_bytes = self.sent_bytes = 0
        self.now_s = self.life.opened_s
        self.done: list[tuple[float, Do | Probe]] = []
        self.active: list[float] = []
        self._answers: list[tuple[float, int, int]] = []
        self._asked = False  # an initiation is out; WireGuard sends no second one so soon
        self._greeted_s: float | None = None

    def run(self, until_s: float) -> Line:
        """To that time; what ends the life comes out of here."""
        while True:
            next_s = max(self.life.next_s(), self.now_s)
            if self._answers and self._answers[0][0] <= next_s:
                next_s, number, size = self._answers[0]
                if next_s > until_s:
                    break
                heapq.heappop(self._answers)
                self.life.answer_seen(next_s, number, size)
            elif next_s > until_s:
                break
            self.now_s = next_s
            for task in self.life.due(next_s):
                self.done.append((next_s, task))
                self._do(task)
        self.now_s = until_s
        return self

    def _do(self, task: Do | Probe) -> None:
        match task:
            case Do.ASK:
                if self._greeted_s is not None and self.now_s >= self._greeted_s:
                    self.life.handshake_seen(self.now_s)
            case Do.AGAIN | Do.CARRY:
                self._asked, self._greeted_s = False, None
            case Do.COUNT:
                if self.life.counted(self.now_s, self.received_bytes, self.sent_bytes):
                    self.active.append(self.now_s)
            case Probe():
                self._probe(task)
            case _:
                pass

    def _probe(self, probe: Probe) -> None:
        if self._greeted_s is None:  # it starts a handshake, and waits for it
            if self.greets and not self._asked:
                self._greeted_s = self.now_s + self.round_trip_s
            self._asked = True
            return
        size = probe.size_bytes or SMALL_BYTES
        lost = self.chance is not None and self.chance.random() < self.loss
        if self.vm and not lost and size <= self.passes_bytes:
            at_s = max(self.now_s, self._greeted_s) + self.round_trip_s
            heapq.heappush(self._answers, (at_s, probe.number, size))

    def times(self, kind: Do | type[Probe], *, small: bool = True) -> list[float]:
        """When that was done; of probes, the small ones or the others."""
        if isinstance(kind, Do):
            return [at_s for at_s, task in self.done if task is kind]
        probes = [(at_s, task) for at_s, task in self.done if isinstance(task, kind)]
        return [at_s for at_s, task in probes if (task.size_bytes is None) == small]


def up(line: Line | None = None) -> Line:
    """A line whose tunnel has just come up, and whose first looks are over."""
    line = line or Line()
    line.run(line.life.opened_s + 2.0)
    assert line.times(Do.RISE)
    return line
