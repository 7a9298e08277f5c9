"""What can happen to a session. The counterpart of effects.py.

An Answer carries the number of the session that asked; the machine drops one that comes late. All
other events are the world's own: a hand, a clock, the centre.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdbox_agent.cardkind import Bit, CardKind
    from sdbox_agent.centre import wire
    from sdbox_agent.terms import Band, CarriedBy


@dataclass(frozen=True, slots=True)
class Card:
    """A card whose certificates have been checked, as read over one connection (DER)."""

    auth: bytes  # 9A
    key_management: bytes  # 9D
    card_auth: bytes  # 9E
    kind: CardKind
    bits: tuple[Bit, ...] = ()  # fingers it can compare
    match_left: tuple[int, ...] = ()  # its own tries for each of them
    pin_left: int | None = None  # its tries for the PIN; None: it has none
    pad: bool = False  # the PIN goes in at the reader
    match_bound: bool = False  # its 9A certificate says: no PIN opens it
    expires_in_days: int | None = None  # when the first certificate or the CHUID ends soon


@enum.unique
class Timer(enum.StrEnum):
    """Clocks of the machine; setting one again replaces it."""

    DEADLINE = "deadline"  # of the present state
    TRANSACTION = "transaction"  # finger, from the first scan to the decision
    RENEW = "renew"
    IDLE = "idle"
    SESSION = "session"
    SETTLE = "settle"  # Spent with no card left
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Event:
    """Anything that `step` takes."""


# -- the world -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CardInserted(Event):
    """A card is in a reader; `insertion` grows with each one seen since the worker started."""

    insertion: int


@dataclass(frozen=True, slots=True)
class CardRemoved(Event):
    """That card is gone, or its reader, or the worker that watched it."""

    insertion: int


@dataclass(frozen=True, slots=True)
class ProjectChosen(Event):
    """The person chose."""

    project: str


@dataclass(frozen=True, slots=True)
class CodeEntered(Event):
    """The person gave a one-time code (RFC 6238)."""

    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancelled(Event):
    """The person gave up."""


@dataclass(frozen=True, slots=True)
class UserActive(Event):
    """The person works: the idle clock starts again.

    For want of a better sign, whatever the session sends through the tunnel is work.
    """


@dataclass(frozen=True, slots=True)
class Revoked(Event):
    """The centre ended the session: card, grant, enrolment or project were taken back."""

    code: str = "revoked"


@dataclass(frozen=True, slots=True)
class Suspended(Event):
    """The centre took the box out of service."""


@dataclass(frozen=True, slots=True)
class PolicyChanged(Event):
    """The centre has another policy: it holds from the next session on."""


@dataclass(frozen=True, slots=True)
class LinkLost(Event):
    """The centre can't be heard: a call may still reach it, and an open tunnel has its lease."""


@dataclass(frozen=True, slots=True)
class Shutdown(Event):
    """The box is going down."""


# -- answers -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer(Event):
    """An event that belongs to session `n`."""

    n: int


@dataclass(frozen=True, slots=True)
class TimedOut(Answer):
    """A timer of session `n` ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Failed(Answer):
    """Something session `n` asked for can't be done, or a part it stands on broke."""

    code: str
    issuer: str = ""  # of tls-inspected: to be shown, and believed by nobody


@dataclass(frozen=True, slots=True)
class CardAccepted(Answer):
    """The card is open, and its certificates are valid now."""

    card: Card


@dataclass(frozen=True, slots=True)
class Challenged(Answer):
    """The centre's hello: 32 random bytes to sign."""

    challenge: bytes


@dataclass(frozen=True, slots=True)
class ProofSigned(Answer):
    """The card signed the challenge (JWS)."""

    jws: bytes


@dataclass(frozen=True, slots=True)
class Admitted(Answer):
    """The centre believes the card: level, policy, grants, reference."""

    answer: wire.ProofAnswer


@dataclass(frozen=True, slots=True)
class PinEntered(Answer):
    """The card took its PIN."""


@dataclass(frozen=True, slots=True)
class PinRefused(Answer):
    """The card did not take it."""

    left: int  # the card's own tries


@dataclass(frozen=True, slots=True)
class FingerPrepared(Answer):
    """The finger process is ready for a finger.

    At host-match it holds the reference, and the desk's signature holds; at card-match the card
    holds one, and nobody else.
    """

    reference_sha256: bytes | None  # of the sealed bytes as served


@dataclass(frozen=True, slots=True)
class Hinted(Answer):
    """What the person may do about the finger (an AskAgain code).

    `place-finger` says that the sensor waits for one.
    """

    code: str


@dataclass(frozen=True, slots=True)
class ProbePoor(Answer):
    """No capture was good enough, for the reason `code` (AskAgain): the person may try again."""

    code: str


@dataclass(frozen=True, slots=True)
class ProbeReady(Answer):
    """A probe good enough to spend an attempt on."""


@dataclass(frozen=True, slots=True)
class AttemptReserved(Answer):
    """Box and centre have both counted this attempt."""

    attempt: int
    left: int
    challenge: bytes
    code_right: bool | None = None  # at card-pin: the centre's word on the one-time code


@dataclass(frozen=True, slots=True)
class FingerMatched(Answer):
    """The comparison decision: match."""

    band: Band | None = None  # how clear, at host-match


@dataclass(frozen=True, slots=True)
class FingerRejected(Answer):
    """The comparison decision: non-match."""

    left: int | None = None  # at card-match: the card's own tries for that finger
    advice: str | None = None  # what to do next (an AskAgain code), if there is better than again


@dataclass(frozen=True, slots=True)
class TunnelPrepared(Answer):
    """The helper made this session's key pairs, WireGuard's and ML-KEM's."""

    wg_public_key: bytes
    kem_key: bytes
    utc_s: int  # when, by the box's clock


@dataclass(frozen=True, slots=True)
class ReceiptSigned(Answer):
    """Card and box signed the receipt (JWS)."""

    jws: bytes


@dataclass(frozen=True, slots=True)
class Leased(Answer):
    """The gateway took the receipt and installed the peer."""

    answer: wire.ReceiptAnswer


@dataclass(frozen=True, slots=True)
class TunnelUp(Answer):
    """A new handshake, and the VM answered."""

    handshake_ms: float
    vm_ms: float
    carrier: CarriedBy = "udp"


@dataclass(frozen=True, slots=True)
class RenewalSigned(Answer):
    """The card signed for another lease (JWS)."""

    jws: bytes


@dataclass(frozen=True, slots=True)
class Renewed(Answer):
    """Another lease."""

    lease_s: int
    challenge: bytes


@dataclass(frozen=True, slots=True)
class TunnelDown(Answer):
    """The helper says that nothing is up."""
