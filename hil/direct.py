"""A card without a reader: the agent's channel straight to the virtual chip, in this process.

Keeps the contract of `sdbox_agent.card.channel.Channel` (tests/card/contract.py). Each channel is
one power-on. For making cards quickly, and for tests that tear one away at every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused

if TYPE_CHECKING:
    from hil.card.card import Card
    from hil.card.chip import Chip


class Direct:
    """From one power-on of the card to its power-off."""

    t0 = False

    def __init__(self, card: Card) -> None:
        self._chip: Chip | None = card.power_on()

    def exchange(self, frame: bytes) -> bytes:
        """As `Channel.exchange`."""
        if self._chip is None:
            raise Refused("card-removed")
        return self._chip.transmit(frame)

    def close(self) -> None:
        """As `Channel.close`."""
        self._chip = None
