"""Every live lease, asked about again and again: its box, its project, its card. No I/O of its own.

What is quick is asked of all at once; a card's path, which costs milliseconds, is asked in slices,
so that the gateway answers and keeps its time meanwhile.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from sdbox_agent.errors import Fault, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_centre.leases import Lease, Leases
    from sdbox_centre.standing import Standing

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
        self._stamp: object = None
        self._unproved: deque[str] = deque()  # sessions whose card this round has not come to
        self._faults: set[str] = set()  # met in this round

    def changed(self) -> bool:
        """Are lists, boxes or projects others than when this was last asked?"""
        before, self._stamp = self._stamp, self._standing.stamp()
        return self._stamp != before

    def begin(self) -> None:
        """A new round: box and project now; then the cards, those first that a list may name."""
        self._faults.clear()
        for lease in self._leases.all():
            self._ask(lease, self._standing.listed)
        left = sorted(self._leases.all(), key=self._standing.unnamed())
        self._unproved = deque(lease.key for lease in left)

    def go_on(self, for_s: float) -> bool:
        """With the cards, for that long; True if some are left."""
        until_s = self._mono_s() + for_s
        while self._unproved and self._mono_s() < until_s:
            lease = self._leases.find(self._unproved.popleft(), self._mono_s())
            if lease is not None:
                self._ask(lease, self._standing.still_proved)
        return bool(self._unproved)

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
