"""The port to a card: one command APDU in, one response APDU out.

`pcsc.Connection` is the real one, `runner.Link` the same with its calls timed, and
`scripted.ScriptedCard` the double. All keep this contract (tests/card/contract.py): after any
error, after `stop` or after `close`, the channel is dead for good and every further exchange
raises; it never comes back on another card.
"""

from __future__ import annotations

from typing import Protocol


class Channel(Protocol):
    """An exclusive connection to the card of one insertion."""

    @property
    def t0(self) -> bool:
        """Whether the card speaks T=0, where a command with data can't carry Le."""

    @property
    def atr(self) -> bytes:
        """Its answer to reset."""

    def exchange(self, frame: bytes | bytearray) -> bytes:
        """Send one command APDU and return the response APDU (at least the status word).

        Raises Refused("card-removed") when the card is gone or gave no answer, Fault("card-mute"),
        Fault("card-failed") or Fault("reader-missing"). It may block for as long as the card
        likes: deadlines are kept by whoever owns the thread.
        """

    def control(self, code: int, data: bytes, *, waits_s: float = 0.0) -> bytes:
        """Ask the reader itself (PC/SC part 10); empty where it knows no such thing.

        Raises as `exchange`. `waits_s` is how long the reader may lawfully wait for a person.
        """

    def stop(self) -> None:
        """From any thread: the call in flight is the last, but for `close`."""

    def close(self, parting: tuple[bytes, ...] = ()) -> None:
        """Reset the card and let go of it. Raises nothing; the second call does nothing.

        `parting` are commands said before the reset, as far as they come through, even after
        `stop`; what the card answers is not heard.
        """
