"""A reader's slot: cards go in, come out, and may be swapped.

Knows which card is in. Does not know how a card speaks to its reader.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hil.card.insertion import Insertion
from hil.card.script import Script
from hil.card.vpcd import CardThread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.card.card import Card
    from hil.card.faults import Fault
    from hil.card.namespace import NetworkNamespace

END_DEADLINE_S: Final = 5.0
# pcsc-lite 1.9.9 looks every 400 ms (PCSCLITE_STATUS_POLL_RATE). A card that is back before it
# looked was never away for its event thread, while the client's failed disconnect has marked the
# reader empty: it then stays "empty", card and all, until the next removal (seen). No hand is so
# quick; `SwapAt`, and `at_once`, are.
REMOVAL_SEEN_NS: Final = 500_000_000


class CardError(Exception):
    """The virtual card's own code failed; the causes are in `causes`."""

    def __init__(self, causes: list[Exception]) -> None:
        super().__init__(f"the virtual card failed {len(causes)} time(s): {causes[0]!r}")
        self.causes = causes


class Slot:
    """One slot of a virtual reader, listening on `port` of the loopback."""

    def __init__(self, reader_name: str, port: int, namespace: NetworkNamespace | None) -> None:
        self.reader_name = reader_name
        self._port = port
        self._namespace = namespace
        self._thread: CardThread | None = None
        self._last: Insertion | None = None
        self.insertions: list[Insertion] = []  # all there have been, in order

    def insert(
        self, card: Card, faults: Iterable[Fault] = (), *, at_once: bool = False
    ) -> Insertion:
        """Put a card in; returns once the reader's end has been reached.

        Waits until the reader must have seen the last removal from this slot, unless `at_once`.

        Raises:
            RuntimeError: there is a card in this slot.
            ReaderGoneError: no reader listens.
            CardError: the virtual card's own code had failed in the insertion before.
        """
        if self._thread is not None and self._thread.insertion.removed_at_ns is None:
            raise RuntimeError("there is a card in this slot")
        last = self.remove() or self._last
        if last is not None and last.removed_at_ns is not None and not at_once:
            wait_ns = last.removed_at_ns + REMOVAL_SEEN_NS - time.monotonic_ns()
            time.sleep(max(wait_ns, 0) / 1e9)
        insertion = Insertion(card, Script(faults))
        self.insertions.append(insertion)
        self._plug(insertion)
        return insertion

    def remove(self) -> Insertion | None:
        """Pull the card, if one is still in; the last insertion, if there was one.

        Raises:
            CardError: the virtual card's own code had failed meanwhile.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return None
        self._last = thread.insertion
        thread.pull(END_DEADLINE_S)
        if thread.insertion.errors:
            raise CardError(thread.insertion.errors)
        return thread.insertion

    @property
    def in_contact(self) -> bool:
        """Whether there is a card in, and a reader around it."""
        return self._thread is not None and self._thread.is_alive()

    def replug(self) -> None:
        """A new reader came up under a card that stayed where it was. Raises ReaderGoneError."""
        thread = self._thread
        if thread is not None and thread.insertion.removed_at_ns is None:
            thread.join(END_DEADLINE_S)
            self._plug(thread.insertion)

    def _plug(self, insertion: Insertion) -> None:
        thread = CardThread(insertion, self._port, self._namespace)
        thread.start()
        thread.wait_connected()
        self._thread = thread
