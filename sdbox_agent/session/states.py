"""The states of the one session a box can have. Each carries exactly what is true in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdbox_agent.cardkind import FingerKey
    from sdbox_agent.centre import wire
    from sdbox_agent.session.events import Card
    from sdbox_agent.terms import Band, CarriedBy


@dataclass(frozen=True, slots=True)
class Idle:
    """No card, nothing up. `n` is the number of the last session."""

    n: int


@dataclass(frozen=True, slots=True)
class Session:
    """What every live state knows."""

    n: int
    insertion: int  # the card this session stands on
    tries: int  # sessions before this one, on the same insertion, that ended in a retryable fault


@dataclass(frozen=True, slots=True)
class _InSession:
    """What every live state has."""

    session: Session


@dataclass(frozen=True, slots=True)
class Checking(_InSession):
    """The card is being read and its certificates checked."""


@dataclass(frozen=True, slots=True)
class Proving(_InSession):
    """The card is asked to sign the centre's challenge, then the proof is sent."""

    card: Card
    asked: bool = False
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Finger:
    """A finger that the card holds and compares, and what its own counter has left for it."""

    key: FingerKey
    position: int  # ISO/IEC 19794-2:2005
    left: int


@dataclass(frozen=True, slots=True)
class Access:
    """What the centre answered to the proof. The level is in `answer`, decided once."""

    card: Card
    answer: wire.ProofAnswer
    challenge: bytes  # the newest one
    comparisons_left: int  # in this session
    attempts_left: int  # of the card, over sessions
    fingers: tuple[Finger, ...] = ()  # that the card compares by itself; the one asked for first
    reference_sha256: bytes | None = None
    band: Band | None = None  # of the match, until the centre has been told


@dataclass(frozen=True, slots=True)
class PinEntry(_InSession):
    """The card wants its PIN before it opens anything; `left` is its own count of tries."""

    access: Access
    left: int
    hint: str


@dataclass(frozen=True, slots=True)
class CodeEntry(_InSession):
    """At card-pin, in the place of a finger: the centre wants a one-time code."""

    access: Access
    hint: str


@dataclass(frozen=True, slots=True)
class Opening(_InSession):
    """The card opens the reference for the finger process."""

    access: Access


@dataclass(frozen=True, slots=True)
class Scanning(_InSession):
    """The person is asked for a finger, once the sensor waits; `hint` says what to do, or why."""

    access: Access
    hint: str | None
    waits: bool = False  # the sensor, for a finger


@dataclass(frozen=True, slots=True)
class Reserving(_InSession):
    """A probe is there; the attempt is being counted."""

    access: Access


@dataclass(frozen=True, slots=True)
class Comparing(_InSession):
    """The attempt is spent; probe and reference are being compared.

    Where the first touch did not match, the person may be asked for more of this attempt: `hint`.
    """

    access: Access
    attempt: int
    hint: str | None = None
    waits: bool = False  # the sensor, for a finger


@dataclass(frozen=True, slots=True)
class Choosing(_InSession):
    """The finger matched in `attempt`; the person chooses a project."""

    access: Access
    attempt: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the card has been asked to sign, and the post-quantum key that goes beside it."""

    receipt_sha256: bytes
    kem_key: bytes


@dataclass(frozen=True, slots=True)
class Signing(_InSession):
    """The helper makes its keys; card and box sign the receipt for them."""

    access: Access
    attempt: int
    project: str
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Tunnelling(_InSession):
    """The receipt is at the gateway; from `lease` on the tunnel is being built."""

    access: Access
    project: str
    receipt_sha256: bytes
    lease: wire.ReceiptAnswer | None = None


@dataclass(frozen=True, slots=True)
class Open(_InSession):
    """The tunnel is up. `pending` is a signed renewal that has no answer yet."""

    access: Access
    project: str
    handshake_ms: float
    vm_ms: float
    carrier: CarriedBy = "udp"
    renewals: int = 0  # granted so far
    signing: bool = False
    pending: bytes | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """The session is over for the reason `code`; the tunnel is being confirmed dead."""

    n: int
    code: str
    cards: frozenset[int]  # insertions that are in a reader now
    used: int | None  # the insertion this session stood on
    tries: int = 0
    issuer: str = ""  # of a certificate that was not the gateway's


@dataclass(frozen=True, slots=True)
class Spent:
    """Over, and on show. Cards that are still in must come out before another session."""

    n: int
    code: str
    cards: frozenset[int]
    tries: int = 0
    issuer: str = ""  # of a certificate that was not the gateway's


@dataclass(frozen=True, slots=True)
class Broken:
    """Nobody confirmed that the tunnel is down. Nothing opens until somebody does."""

    n: int
    code: str
    cards: frozenset[int]


Live = (  # a session is under way
    Checking
    | Proving
    | PinEntry
    | CodeEntry
    | Opening
    | Scanning
    | Reserving
    | Comparing
    | Choosing
    | Signing
    | Tunnelling
    | Open
)
State = Idle | Live | Closing | Spent | Broken
