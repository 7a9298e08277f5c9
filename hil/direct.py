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
        self.atr = card.atr
        self._chip: Chip | None = card.power_on()
        self._stopped = False

    def exchange(self, frame: bytes | bytearray) -> bytes:
        """As `Channel.exchange`."""
        if self._chip is None or self._stopped:
            raise Refused("card-removed")
        return self._chip.transmit(bytes(frame))

    def control(self, code: int, data: bytes, *, waits_s: float = 0.0) -> bytes:  # noqa: ARG002
        """There is no reader, so none that knows anything."""
        if self._chip is None or self._stopped:
            raise Refused("card-removed")
        return b""

    def stop(self) -> None:
        """No exchange after this."""
        self._stopped = True

    def close(self, parting: tuple[bytes, ...] = ()) -> None:
        """As `Channel.close`; `parting` are the last commands, whose answers nobody hears."""
        chip, self._chip = self._chip, None
        if chip is not None:
            for frame in parting:
                chip.transmit(frame)
