"""What is to go wrong during one insertion, declared beforehand.

APDUs are counted from 1 at insertion; resets and power-offs do not start the count again. Several
faults may be declared together, one for each `n`; those without `n` last. Data only: `script` plays
them.

| fault | what the client meets |
|---|---|
| `TearAt(n, point)` | the card is pulled before APDU n is acted on, before its reply, or in it |
| `TearAsSpent(n)` | the card is pulled in APDU n, a try spent and nothing compared yet |
| `MuteAt(n)` | no answer to APDU n, nor ever after, until the card is pulled |
| `SlowBy(ms, at)` | the answer comes late: to APDU `at`, or to all |
| `SwapAt(n, card)` | another card is in the reader, from APDU n on |
| `ResetAt(n)` | the card forgets what was selected and proved, just before APDU n |
| `ReplyAt(n, raw)` | these bytes in the place of the reply to APDU n (one, or any status word) |
| `EndlessMore(n)` | from APDU n on, GET RESPONSE never comes to an end |
| `Refuse(sw, ins, p2)` | this status word to these commands: 6982 on 9D, 6983 on VERIFY |
| `ReplaceObject(tag, content)` | another content in a data object, or none (6A82) |
| `FlipBit(tag, bit)` | one bit of a data object, read as always, is the other way round |
| `MalformObject(tag, how)` | a data object whose BER-TLV is broken in one of eight ways |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from hil.card.card import Card
    from hil.card.malformed import Malformation


class TearPoint(Enum):
    """When, within one exchange, the card is pulled."""

    COMMAND = "before the command is acted on"
    REPLY = "acted on, nothing of the reply sent"
    MID_REPLY = "acted on, half of the reply sent"


@dataclass(frozen=True, slots=True)
class TearAt:
    """The card is pulled during APDU `n`."""

    n: int
    point: TearPoint = TearPoint.REPLY


@dataclass(frozen=True, slots=True)
class TearAsSpent:
    """The card loses its power in APDU `n`: it has spent a try there, and has compared nothing.

    An APDU that spends none is acted on to its end, as at `TearPoint.REPLY`.
    """

    n: int


@dataclass(frozen=True, slots=True)
class MuteAt:
    """APDU `n` is acted on and never answered, nor is anything after it."""

    n: int


@dataclass(frozen=True, slots=True)
class SlowBy:
    """The answer to APDU `at` (to every one if None) comes `delay_ms` late."""

    delay_ms: float
    at: int | None = None


@dataclass(frozen=True, slots=True)
class SwapAt:
    """At APDU `n` the card is pulled, unanswered, and `card` is in the reader at once.

    `silently`: the reader notices nothing, and `card` answers APDU `n` itself.
    """

    n: int
    card: Card
    silently: bool = False


@dataclass(frozen=True, slots=True)
class ResetAt:
    """Before APDU `n` the card loses power for a moment, and the reader does not notice.

    What is left to the client is what a reset by another client leaves. That one pcscd itself tells
    of (W_RESET_CARD), and lets happen only to a shared connection.
    """

    n: int


@dataclass(frozen=True, slots=True)
class ReplyAt:
    """APDU `n` is answered with these bytes, whatever the card said; a single one is no SW.

    No bytes at all is not an answer: vpcd 3.3 goes on waiting after an empty frame (`MuteAt`).
    """

    n: int
    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.raw:
            raise ValueError("an empty reply is a mute card")


@dataclass(frozen=True, slots=True)
class EndlessMore:
    """APDU `n` and every GET RESPONSE after it: `chunk_bytes` of filler and 61FF."""

    n: int
    chunk_bytes: int = 256


@dataclass(frozen=True, slots=True)
class Refuse:
    """This status word, unasked of the application, to every command with this INS (and P2)."""

    sw: int
    ins: int
    p2: int | None = None


@dataclass(frozen=True, slots=True)
class ReplaceObject:
    """GET DATA of `tag` finds `content` (without the outer 53), or nothing if None."""

    tag: int
    content: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class FlipBit:
    """GET DATA of `tag` answers with this bit turned over, its tag and length among them.

    Counted from the first byte's highest bit; beyond the last, again from the first.
    """

    tag: int
    bit: int


@dataclass(frozen=True, slots=True)
class MalformObject:
    """GET DATA of `tag` answers with what is no data object any more."""

    tag: int
    how: Malformation


# Happen once, in the exchange they name; and last as long as the insertion.
Event: TypeAlias = TearAt | TearAsSpent | MuteAt | SwapAt | ResetAt | ReplyAt | EndlessMore
Lasting: TypeAlias = SlowBy | Refuse | ReplaceObject | FlipBit | MalformObject
Fault: TypeAlias = Event | Lasting
