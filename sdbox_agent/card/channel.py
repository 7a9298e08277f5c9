"""The port to a card: one command APDU in, one response APDU out.

`pcsc.Connection` is the real one; `scripted.ScriptedCard` is the double that stands beside it. Both
keep this contract (tests/card/contract.py): after any error, or after `close`, the channel is dead
for good and every further exchange raises; it never comes back on another card.
"""

from __future__ import annotations

from typing import Protocol


class Channel(Protocol):
    """An exclusive connection to the card of one insertion."""

    @property
    def t0(self) -> bool:
        """Whether the card speaks T=0, where a command with data can't carry Le."""

    def exchange(self, frame: bytes) -> bytes:
        """Send one command APDU and return the response APDU (at least the status word).

        Raises Refused("card-removed") when the card is gone or gave no answer, Fault("card-mute"),
        Fault("card-failed") or Fault("reader-missing"). It may block for as long as the card
        likes: deadlines are kept by whoever owns the thread.
        """

    def close(self) -> None:
        """Reset the card and let go of it. Raises nothing; the second call does nothing."""
