"""When a finger is recognised less and less well: time for a new enrolment, before a lock-out.

Judges by the bands of the first matches after enrolment and of the last ones, three words in place
of scores. Knows no store. A finger that was never better is no decline: a new enrolment would not
mend it. One that is weak now and then hears nothing (tests/sdbox_centre/test_ageing.py: how often).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from sdbox_agent.terms import Band

FIRST: Final = 5  # bands kept of an enrolment: how it began
LATEST: Final = 5  # and how it is
WEAK: Final = 4  # of the latest: a decline
SELDOM: Final = 1  # weak ones of five that say nothing


@dataclass(frozen=True, slots=True)
class Ageing:
    """What is kept of one enrolment: its first bands and its latest, the newest last."""

    bands: tuple[Band, ...] = ()
    declined: bool = False  # said until the finger is as good as it was, or enrolled anew

    def after(self, band: Band) -> Self:
        """With one more match."""
        first, latest = self.bands[:FIRST], self.bands[FIRST:]
        if len(first) < FIRST:
            return type(self)((*first, band))
        latest = (*latest, band)[-LATEST:]
        if self.declined:
            declined = _weak(latest) > SELDOM
        else:
            declined = _weak(latest) >= WEAK and _weak(first) <= SELDOM
        return type(self)((*first, *latest), declined)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the person should hear."""
        return ("re-enrol-soon",) if self.declined else ()


def _weak(bands: tuple[Band, ...]) -> int:
    return sum(band is Band.WEAK for band in bands)
