"""When a finger is recognised less and less well: time for a new enrolment, before a lock-out.

Judges by the bands of the last matches, three words in place of scores. Knows no store. A finger
that was never better is no decline: a new enrolment would not mend it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sdbox_agent.terms import Band

if TYPE_CHECKING:
    from sdbox_agent.centre.wire import Notice

KEPT: Final = 10  # bands of an enrolment
LATEST: Final = 5  # of them, held against those before
WEAK: Final = 3  # of the latest: a decline


@dataclass(frozen=True, slots=True)
class Ageing:
    """What is kept of one enrolment: the newest band last."""

    bands: tuple[Band, ...] = ()
    declined: bool = False  # said until the finger is as good as it was, or enrolled anew

    def after(self, band: Band) -> Self:
        """With one more match."""
        bands = (*self.bands, band)[-KEPT:]
        latest, before = bands[-LATEST:], bands[:-LATEST]
        if self.declined:
            still = Band.WEAK in latest
        else:
            was_better = 2 * _weak(before) < len(before)
            still = _weak(latest) >= WEAK and was_better
        return type(self)(bands, still)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the person should hear."""
        return ("re-enrol-soon",) if self.declined else ()


def _weak(bands: tuple[Band, ...]) -> int:
    return sum(band is Band.WEAK for band in bands)
