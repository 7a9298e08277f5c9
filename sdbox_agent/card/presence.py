"""From what PC/SC says about its readers to which card is new and which is gone.

PC/SC counts a reader's insertions and removals. A count that moved between two looks at an occupied
reader means that the card was out in between, however shortly: that is a removal and a new
insertion. No I/O; knows nothing of who listens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdbox_agent import ipc

if TYPE_CHECKING:
    from sdbox_agent.card.looks import Looks


@dataclass(frozen=True, slots=True)
class Insertion:
    """One card in one reader, from in to out."""

    number: int
    reader: str
    events: int


class Presence:
    """Which insertions are there now."""

    def __init__(self) -> None:
        self._readers: tuple[str, ...] = ()
        self._here: dict[str, Insertion] = {}
        self._last = 0

    def update(self, looks: Looks) -> list[ipc.Removed | ipc.Inserted | ipc.ReadersChanged]:
        """Take in a new look; what changed: removals, then insertions, then the readers."""
        occupied = {look.reader: look.events for look in looks if look.present}
        told: list[ipc.Removed | ipc.Inserted | ipc.ReadersChanged] = []
        for reader, insertion in list(self._here.items()):
            if occupied.get(reader) != insertion.events:
                del self._here[reader]
                told.append(ipc.Removed(reader=reader, insertion=insertion.number))
        for reader, events in occupied.items():
            if reader not in self._here:
                self._last += 1
                self._here[reader] = Insertion(self._last, reader, events)
                told.append(ipc.Inserted(reader=reader, insertion=self._last))
        readers = tuple(look.reader for look in looks)
        if readers != self._readers:
            self._readers = readers
            told.append(ipc.ReadersChanged(readers=readers))
        return told

    def report(self) -> list[ipc.Inserted | ipc.ReadersChanged]:
        """Everything that is there, in the same order, for somebody who has just come to listen."""
        here = [
            ipc.Inserted(reader=insertion.reader, insertion=insertion.number)
            for insertion in self._here.values()
        ]
        return [*here, ipc.ReadersChanged(readers=self._readers)]

    def find(self, number: int) -> Insertion | None:
        """That insertion, if it is still there."""
        return next((here for here in self._here.values() if here.number == number), None)
