"""What the machine asks the shell to do, in order. The counterpart of events.py.

The shell performs a step's effects one after the other. If one fails it performs none of the rest
and answers Failed; only while closing does it go on, because there each one takes something away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdbox_agent.cardkind import FingerKey
    from sdbox_agent.centre import wire
    from sdbox_agent.session.events import Card, Timer
    from sdbox_agent.statements import fields
    from sdbox_agent.terms import Band, Level


@dataclass(frozen=True, slots=True)
class Effect:
    """A request of session `n`; what comes of it is an event."""

    n: int


@dataclass(frozen=True, slots=True)
class Record(Effect):
    """Write one audit record, durably, before anything that follows it, the next step included.

    `code` is an error's, which says how it ended, or names something that went well.
    """

    code: str
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class SetTimer(Effect):
    """Start a timer, in place of the one of that name."""

    timer: Timer
    after_s: float


@dataclass(frozen=True, slots=True)
class ClearTimer(Effect):
    """Stop one."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class ClearTimers(Effect):
    """Stop every timer."""


@dataclass(frozen=True, slots=True)
class OpenCard(Effect):
    """Read the card, check its certificates -> CardAccepted."""

    insertion: int


@dataclass(frozen=True, slots=True)
class SayHello(Effect):
    """-> Challenged."""


@dataclass(frozen=True, slots=True)
class Sign(Effect):
    """Have the card sign a statement -> ProofSigned, ReceiptSigned or RenewalSigned.

    The box's own signature is added where the statement asks for one (receipt).
    """

    statement: fields.Statement


@dataclass(frozen=True, slots=True)
class SendProof(Effect):
    """-> Admitted."""

    card: Card
    jws: bytes
    levels: tuple[Level, ...]  # what this box can do with this card


@dataclass(frozen=True, slots=True)
class AskPin(Effect):
    """Let a PIN be given, at the reader's pad or the prompt -> PinEntered or PinRefused."""


@dataclass(frozen=True, slots=True)
class PrepareFinger(Effect):
    """Make the finger process ready -> FingerPrepared.

    With `sealed` it may have one unwrap, and opens the reference; without, it may have the card
    compare `comparisons` times.
    """

    card: Card
    enrolment: str
    sealed: bytes | None
    captures: int
    comparisons: int


@dataclass(frozen=True, slots=True)
class ScanFinger(Effect):
    """-> Hinted, then ProbeReady or ProbePoor."""


@dataclass(frozen=True, slots=True)
class ReserveAttempt(Effect):
    """Count it on the box (fsync), then at the centre -> AttemptReserved."""

    card: Card
    challenge: bytes
    code: str | None = field(default=None, repr=False)  # one-time, for the centre to check


@dataclass(frozen=True, slots=True)
class CompareFinger(Effect):
    """-> Hinted, then FingerMatched or FingerRejected.

    With `key`, the card compares that finger of its own, and there is no more than one touch.
    """

    attempt: int
    key: FingerKey | None = None


@dataclass(frozen=True, slots=True)
class WarmTunnel(Effect):
    """While the person is awaited: start what takes long of a tunnel, and holds no key."""


@dataclass(frozen=True, slots=True)
class PrepareTunnel(Effect):
    """-> TunnelPrepared."""


@dataclass(frozen=True, slots=True)
class SendReceipt(Effect):
    """-> Leased.

    Beside the statement go `kem_key`, whose digest is in it, and `band`, unsigned: it decides
    nothing.
    """

    card: Card
    jws: bytes
    kem_key: bytes
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class OpenTunnel(Effect):
    """-> TunnelUp."""

    lease: wire.ReceiptAnswer
    receipt_sha256: bytes  # of the receipt it was given for


@dataclass(frozen=True, slots=True)
class SendRenewal(Effect):
    """-> Renewed."""

    jws: bytes


@dataclass(frozen=True, slots=True)
class ExtendLease(Effect):
    """Tell the helper how long the tunnel may live from now."""

    lease_s: int


@dataclass(frozen=True, slots=True)
class TakeTunnelDown(Effect):
    """-> TunnelDown, from the helper or from its successor; asked again until answered."""


@dataclass(frozen=True, slots=True)
class EndFinger(Effect):
    """End the finger process of this session and start the next one warm."""


@dataclass(frozen=True, slots=True)
class CloseCard(Effect):
    """Reset the card and let go of it."""


@dataclass(frozen=True, slots=True)
class TellCentre(Effect):
    """Say that the session is over, and why. No answer is waited for."""

    code: str
