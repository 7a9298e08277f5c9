"""The counter behind a PIN, a PUK or a finger: how often in a row it may be missed.

It lives in the card's memory without power. A try is spent before the comparison, so that a card
torn in the middle of one has lost it.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from hil.card.apdu import Refusal, Sw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# FIPS 201-3, 2.9.3: no more than ten tries in a row.
TRIES_MAX: Final = 10

_failing: Final = ContextVar("the power fails as soon as a try is spent", default=False)


class PowerLost(Exception):  # noqa: N818
    """The card was torn between a spent try and the comparison it was spent on."""


@contextmanager
def power_failing() -> Iterator[None]:
    """In this block, and this thread alone, no try that is spent is followed by a comparison."""
    before = _failing.set(True)
    try:
        yield
    finally:
        _failing.reset(before)


class Retries:
    """`left` of `most` tries."""

    def __init__(self, most: int) -> None:
        """Raises ValueError for a count the standard forbids."""
        if not 1 <= most <= TRIES_MAX:
            raise ValueError("a card gives 1 to 10 tries")
        self.most = most
        self.left = most

    def require(self) -> None:
        """Raises Refusal: 6983, no tries left."""
        if self.left == 0:
            raise Refusal(Sw.BLOCKED)

    def state(self) -> Refusal:
        """What an empty query is answered with: 63CX, or 6983 if none are left."""
        return Refusal(Sw.TRIES_LEFT | self.left if self.left else Sw.BLOCKED)

    def attempt(self, compare: Callable[[], bool]) -> None:
        """Spend a try, compare, and give all of them back if it was right.

        Raises:
            Refusal: 6983 no tries left (nothing is compared), 63CX no match.
            PowerLost: see `power_failing`.
        """
        self.require()
        self.left -= 1
        if _failing.get():
            raise PowerLost
        if not compare():
            raise Refusal(Sw.TRIES_LEFT | self.left)
        self.left = self.most

    def block(self) -> None:
        """Leave none."""
        self.left = 0
