"""The port to what a card can do for us, however it is reached: PC/SC here, or a maker's library.

`conversation.Conversation` speaks to the card itself; a maker's PKCS#11 library is spoken to by
another. Whoever uses one (service.py) can't tell them apart. Values and the port, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from sdbox_agent.cardkind import Bit, CardKind, FingerKey, KeyName
    from sdbox_agent.statements import fields

# Ours: what the way to the card says of itself; the card is not to be blamed for these, nor the
# message, nor is it asked again
CHANNEL_CODES: Final = frozenset({"card-removed", "card-mute", "reader-missing"})


@dataclass(frozen=True, slots=True)
class Face:
    """What a card shows to anybody, and the kind it was taken for."""

    kind: CardKind
    certificates: dict[str, bytes]  # DER, by key reference: 9A, 9D, 9E
    guid: bytes | None = None  # of the CHUID; None where a library shows none
    expires: str | None = None  # of the CHUID: YYYYMMDD
    bits: tuple[Bit, ...] = ()  # the fingers it compares
    match_left: tuple[int, ...] = ()  # its own tries, for each of `bits`; 0: blocked
    pin_left: int | None = None  # its own tries for the PIN; 0: blocked; None: no PIN
    pad: bool = False  # the PIN goes in at the reader's own pad


@dataclass(frozen=True, slots=True)
class Signature:
    """One JWS signature over `payload` (RFC 7515 section 7.2.1)."""

    payload: bytes
    protected: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Decision:
    """What the card said of a probe."""

    match: bool
    left: int | None = None  # tries left for that finger; None: it matched


class Token(Protocol):
    """One card, held alone from `open` to `close`. Everything but `stop` is called by one thread.

    Any call may raise Refused("card-removed"), Fault("card-mute"), Fault("card-failed") or
    Fault("reader-missing"), and block for as long as the card likes; after an error that says so,
    and after `close`, the token is dead for good.
    """

    def open(self, kinds: tuple[CardKind, ...]) -> Face:
        """Take the card as the first of `kinds` whose demands it meets, and read what it shows.

        What another program left open (a PIN given, a finger matched) is closed first. No try is
        spent. Raises Refused: not-a-piv-card, card-data-invalid, card-contactless, or
        card-kind-unknown where no kind fits.
        """

    def sign(self, statement: fields.Statement, key: KeyName) -> Signature:
        """Have the card sign a statement, whose bytes are built here; never a hash from outside.

        A receipt or a renewal first makes sure that the card is still the one that was opened.
        Raises Fault("card-key-refused"), Refused("card-blocked").
        """

    def unwrap(self, algorithm: str, blob: bytes) -> bytes:
        """With 9D: the shared X coordinate ("ecdh"), or the CEK ("rsa-oaep-sha256").

        The card's key is used once at most. Every failure of the message is the one
        Refused("reference-not-for-this-card").
        """

    def compare(self, key: FingerKey, minutiae: bytes) -> Decision:
        """Have the card compare a probe (compact card format, 3 bytes a minutia).

        Raises Bug("worker-protocol") for a probe the card's template does not allow; a library
        that has no such thing always does.
        """

    def verify_pin(self, field: bytearray | None, *, last: bool) -> int | None:
        """Give the card its PIN: None if it took it, else the tries left (0: blocked).

        `field` is 8 bytes, ASCII digits padded with FF; the caller overwrites it. None: the PIN is
        entered at the reader's own pad (Face.pad). Where one try is left and `last` is not set,
        AskAgain("pin-last-try") is raised and nothing is sent. At a pad also
        AskAgain("transaction-timeout") and Refused("cancelled").
        """

    def stop(self) -> None:
        """From any thread: the call in flight is the last one the card hears, but for `close`."""

    def close(self) -> None:
        """Log out, reset the card, let go. Raises nothing; the second call does nothing."""
