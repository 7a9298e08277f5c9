"""Every live lease, asked about again and again: its box, its project, its card. No I/O of its own.

Asked in slices, so that the gateway answers and keeps its time meanwhile: first what is quick (box
and project), then a card's path, which costs milliseconds. A round that is begun before the last is
through comes first to those whom that one has not come to: acts in a row starve nobody.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Fault, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_centre.leases import Lease, Leases
    from sdbox_centre.standing import Standing

SLICE_S: Final = 0.02

log = logging.getLogger("sdbox.gateway")


class Review:
    """`end` puts a session out, for a code."""

    def __init__(
        self,
        standing: Standing,
        leases: Leases,
        mono_s: Callable[[], float],
        end: Callable[[str, str], None],
    ) -> None:
        self._standing = standing
        self._leases = leases
        self._mono_s = mono_s
        self._end = end
        self._stamp: tuple[object, object] | None = None  # of the lists; of boxes and projects
        self._unlisted: deque[str] = deque()  # sessions of whose box and project, and
        self._unproved: deque[str] = deque()  # of whose card this round has not asked
        self._faults: set[str] = set()  # met in this round

    def look(self, subject: str = "") -> None:
        """Begin what may be answered otherwise by now, whom an act's `subject` names first."""
        before, self._stamp = self._stamp, self._standing.stamp()
        if before is None or before[0] != self._stamp[0]:
            self.begin()
        elif before != self._stamp:
            named = frozenset(subject.split("/"))
            self._begin_quick(lambda lease: named.isdisjoint(_names(lease)))

    def begin(self) -> None:
        """A whole round, those cards first that a list may name."""
        self._begin_quick(lambda _: True)
        self._unproved = self._in_order(self._unproved, self._standing.unnamed())

    def go_on(self, for_s: float = SLICE_S) -> bool:
        """For that long; True if some are left."""
        until_s = self._mono_s() + for_s
        while (self._unlisted or self._unproved) and self._mono_s() < until_s:
            queue, question = self._unlisted, self._standing.listed
            if not queue:
                queue, question = self._unproved, self._standing.still_proved
            lease = self._leases.find(queue.popleft(), self._mono_s())
            if lease is not None:
                self._ask(lease, question)
        return bool(self._unlisted or self._unproved)

    def _begin_quick(self, later: Callable[[Lease], bool]) -> None:
        self._faults.clear()
        self._unlisted = self._in_order(self._unlisted, later)

    def _in_order(self, left: deque[str], later: Callable[[Lease], bool]) -> deque[str]:
        """All of them, those `left` of the last round before the others."""
        places = {key: place for place, key in enumerate(left)}

        def order(lease: Lease) -> tuple[bool, int]:
            return later(lease), places.get(lease.key, len(places))

        return deque(lease.key for lease in sorted(self._leases.all(), key=order))

    def _ask(self, lease: Lease, question: Callable[[Lease], None]) -> None:
        """A Fault is about our own files: the lease can't be renewed, and ends by itself."""
        try:
            question(lease)
        except Refused as refused:
            self._end(lease.key, refused.code)
        except Fault as fault:
            if fault.code not in self._faults:
                self._faults.add(fault.code)
                log.error("live leases can't be looked at: %s", fault.code)  # noqa: TRY400


def _names(lease: Lease) -> tuple[str, ...]:
    """By which an act's subject may mean it."""
    return lease.receipt.box, lease.project, lease.card.hex()
