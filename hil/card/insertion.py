"""One card's stay in a slot, as the rig sees it from outside.

Commands are counted and logged by their header and lengths, never their data. Does not know how the
card is reached.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.card.card import Card
    from hil.card.script import Script


@dataclass(frozen=True, slots=True)
class Exchange:
    """One APDU as an observer without a key sees it; `sw` is None if none was sent."""

    n: int
    cla: int
    ins: int
    p1: int
    p2: int
    command_bytes: int
    reply_bytes: int
    sw: int | None
    at_ns: int
    took_ns: int


class Insertion:
    """One card's stay in a slot; times are CLOCK_MONOTONIC nanoseconds.

    A reader that goes and comes back around a card, or a card swapped for another by a fault, is
    one stay.
    """

    def __init__(self, card: Card, script: Script) -> None:
        self.card = card
        self.script = script
        self.log: list[Exchange] = []
        self.resets = 0
        self.inserted_at_ns: int | None = None
        self.removed_at_ns: int | None = None
        self.errors: list[Exception] = []
        self.powered = threading.Event()
        self.ended = threading.Event()

    @property
    def apdus(self) -> int:
        """How many APDUs have come since insertion."""
        return len(self.log)

    def wait_powered(self, deadline_s: float = 3.0) -> None:
        """Until the reader has seen the card and powered it. Raises TimeoutError."""
        if not self.powered.wait(deadline_s):
            raise TimeoutError("the reader has not powered the card")

    def wait_ended(self, deadline_s: float = 3.0) -> None:
        """Until the card is out, by `remove` or by a fault. Raises TimeoutError."""
        if not self.ended.wait(deadline_s):
            raise TimeoutError("the card is still in")
