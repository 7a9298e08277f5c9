"""Which cards lie in the readers, by the core's own count, which outlives the card worker.

A card that lay in a reader when its worker died, and is there when the next one looks, has not been
put in anew: a refused card would otherwise get another session each time the worker ends, and a
card that drives the worker to its end would get one after another. Whether it was exchanged
meanwhile nobody saw; then, too, it must come out first. The same holds for a card that lay there
when this core started: what came before, nobody knows. The core says that it is ready only after
that first look (run.py), so nobody is asked for a card before. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sdbox_agent.errors import Refused


@dataclass(frozen=True, slots=True)
class _Card:
    insertion: int  # the core's count
    number: int | None  # the worker's; None: its worker is dead, and the next has not seen it yet


class Readers:
    """Insertions, one a reader."""

    def __init__(self) -> None:
        self._last = 0
        self._looked = False  # has a worker told of every card that was there when we started?
        self._cards: dict[str, _Card] = {}

    def inserted(self, reader: str, number: int) -> int | None:
        """A card is there; its new insertion, or None if it has been there, or was at the start."""
        known = self._cards.get(reader)
        if known is not None and known.number is None:
            self._cards[reader] = replace(known, number=number)
            return None
        self._last += 1
        self._cards[reader] = _Card(self._last, number)
        return self._last if self._looked else None

    def removed(self, number: int) -> int | None:
        """The worker's insertion `number` is over; the core's, if it was known."""
        for reader, card in self._cards.items():
            if card.number == number:
                del self._cards[reader]
                return card.insertion
        return None

    def looked(self) -> list[int]:
        """The worker has told of every card it sees: insertions that ended while none looked."""
        self._looked = True
        gone = {reader: card for reader, card in self._cards.items() if card.number is None}
        for reader in gone:
            del self._cards[reader]
        return [card.insertion for card in gone.values()]

    def worker_died(self) -> None:
        """Its numbers mean nothing any more; the cards are where they are."""
        self._cards = {name: replace(card, number=None) for name, card in self._cards.items()}

    def number(self, insertion: int) -> int:
        """What the worker calls it. Raises Refused("card-removed")."""
        for card in self._cards.values():
            if card.insertion == insertion and card.number is not None:
                return card.number
        raise Refused("card-removed")
