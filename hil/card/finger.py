"""A finger the card holds: its reference, which nothing reads out, and its counter.

SP 800-73-5 part 1, table 5 and part 2, 3.2.1. The outcome is a yes or a no: a score would let a
stranger climb to a match step by step. Does not know how it is compared (`matcher`).
"""

from __future__ import annotations

from typing_extensions import override

from hil.card.matcher import matches
from hil.card.retries import Retries


class Finger:
    """A reference of 3N bytes with its counter; `repr` shows the counter alone."""

    def __init__(self, reference: bytes, tries: int) -> None:
        """Raises ValueError for a count the standard forbids."""
        self._reference = reference
        self.retries = Retries(tries)

    @override
    def __repr__(self) -> str:
        return f"Finger(tries_left={self.retries.left})"

    def check(self, probe: bytes) -> None:
        """Compare 3N bytes.

        Raises:
            Refusal: 6983 no tries left (nothing is compared), 63CX no match.
        """
        self.retries.attempt(lambda: matches(self._reference, probe))
