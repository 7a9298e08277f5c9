"""The box's copy of each card's attempts counter (design section 2.10).

It only ever goes down: to what the centre says if that is less, and by one, durably, before each
comparison. Two things give a card its attempts back: an accepted receipt, and an unlock by staff.
Staff's unlocks are counted at the centre, per card; a count higher than any this box has seen is an
unlock, once, and the same or a lower one never is. Authority is the centre's counter; this copy
holds when the centre's answer is replayed, late, or false in anything but that count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.state.record import MAX_CARDS, CardAttempts
from sdbox_agent.terms import SHA256_BYTES

if TYPE_CHECKING:
    from sdbox_agent.state.store import Store

# Ours (design section 2.10; stricter than SP 800-63B-4's 30 s from the fifth failure, 50 in all).
LIMIT: Final = 10
FREE_FAILURES: Final = 5
FIRST_DELAY_S: Final = 30
LONGEST_DELAY_S: Final = 15 * 60


def delay_s(failures: int) -> int:
    """Seconds that must pass after `failures` failures in a row: 0 below 5, then 30 doubling."""
    if failures < FREE_FAILURES:
        return 0
    return min(FIRST_DELAY_S << min(failures - FREE_FAILURES, 16), LONGEST_DELAY_S)


class Attempts:
    """Attempts left, by SHA-256 of the card's 9A certificate."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def left(self, card_sha256: bytes) -> int:
        """Comparisons this box would still run for that card."""
        return self._row(card_sha256).left

    def lower(self, card_sha256: bytes, centre_left: int) -> int:
        """Take the centre's figure if it is less; the least of the two is what counts and is shown.

        Raises Fault of the store.
        """
        row = self._row(card_sha256)
        if centre_left < row.left:
            self._put(card_sha256, replace(row, left=max(0, centre_left)))
        return self.left(card_sha256)

    def unlocked(self, card_sha256: bytes, unlocks: int) -> None:
        """Take the centre's count of unlocks: if it grew, the card is whole again here too.

        Raises Fault of the store.
        """
        if unlocks > self._row(card_sha256).unlocks:
            self._put(card_sha256, CardAttempts(LIMIT, 0, unlocks))

    def reserve(self, card_sha256: bytes, utc_s: int) -> int:
        """Spend one attempt, durably, before the comparison; returns what is left after it.

        `utc_s` is the trusted clock. Raises Refused("card-locked"), Refused("too-soon"), and Fault
        of the store: after any of them the comparison must not run.
        """
        row = self._row(card_sha256)
        if row.left <= 0:
            raise Refused("card-locked")
        if utc_s < row.reserved_utc_s + delay_s(LIMIT - row.left):
            raise Refused("too-soon")
        reserved_utc_s = max(utc_s, row.reserved_utc_s)
        self._put(card_sha256, replace(row, left=row.left - 1, reserved_utc_s=reserved_utc_s))
        return row.left - 1

    def accepted(self, card_sha256: bytes) -> None:
        """The centre took this card's receipt: its failures are forgotten. Raises Fault."""
        state, name, row = self._store.state, card_sha256.hex(), self._row(card_sha256)
        whole = CardAttempts(LIMIT, 0, row.unlocks)
        if row == whole:
            return
        rows = {card: other for card, other in state.attempts.items() if card != name}
        if row.unlocks:  # kept, or the same count would unlock the card once more
            rows[name] = whole
        self._store.save(replace(state, attempts=rows))

    def _row(self, card_sha256: bytes) -> CardAttempts:
        if len(card_sha256) != SHA256_BYTES:
            raise ValueError("a card is named by a SHA-256")
        return self._store.state.attempts.get(card_sha256.hex(), CardAttempts(LIMIT, 0))

    def _put(self, card_sha256: bytes, row: CardAttempts) -> None:
        state = self._store.state
        rows = {**state.attempts, card_sha256.hex(): row}
        if len(rows) > MAX_CARDS:
            raise Fault("disk-failed")  # no room to count: no comparison
        self._store.save(replace(state, attempts=rows))
