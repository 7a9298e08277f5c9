"""From the receipt to the open tunnel: Signing, Tunnelling, Open.

A record that needs only be there before the tunnel opens is written while others work: behind the
effect that sets them to work, and still within its step, so no answer of theirs comes before it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.ends import end, unforeseen
from sdbox_agent.session.events import Timer
from sdbox_agent.statements import fields

if TYPE_CHECKING:
    from sdbox_agent.session.ends import Step
    from sdbox_agent.session.policy import Policy
    from sdbox_agent.terms import CarriedBy

_UNHEARD: Final = frozenset(  # a renewal got no answer: the lease decides how long that may last
    {"centre-unreachable", "centre-slow", "centre-fault", "centre-answer-invalid"}
)
_RISEN: Final[dict[CarriedBy, str]] = {"udp": "tunnel-up", "tls": "tunnel-up-carried"}


def sign(
    session: at.Session, access: at.Access, attempt: int, project: str, policy: Policy
) -> Step:
    """Make the tunnel's keys; the receipt names them."""
    return at.Signing(session, access, attempt, project), (
        do.SetTimer(session.n, Timer.DEADLINE, policy.card_s),
        do.PrepareTunnel(session.n),
    )


def in_signing(state: at.Signing, event: on.Event, policy: Policy) -> Step:
    """The keys are there: card and box sign for them."""
    n, access = state.session.n, state.access
    match event:
        case on.TunnelPrepared() if state.asked is None:
            receipt = fields.Receipt(
                box=policy.box,
                session=policy.session_id(n),
                challenge=access.challenge,
                enrolment=access.answer.enrolment,
                reference_sha256=access.reference_sha256,
                attempt=state.attempt,
                level=access.answer.level,
                project=state.project,
                wg_public_key=event.wg_public_key,
                kem_key_sha256=hashlib.sha256(event.kem_key).digest(),
                utc_s=event.utc_s,
            )
            asked = at.Asked(fields.digest(receipt), event.kem_key)
            return replace(state, asked=asked), (do.Sign(n, receipt),)
        case on.ReceiptSigned() if state.asked is not None:
            told = replace(access, band=None)
            signed = state.asked
            return at.Tunnelling(state.session, told, state.project, signed.receipt_sha256), (
                do.SetTimer(n, Timer.DEADLINE, policy.centre_s),
                do.SendReceipt(n, access.card, event.jws, signed.kem_key, access.band),
                do.Record(n, "receipt-signed", access.answer.level),
            )
        case _:
            return unforeseen(state)


def in_tunnelling(state: at.Tunnelling, event: on.Event, policy: Policy) -> Step:
    """The gateway took the receipt; then the tunnel is up, as the helper measured."""
    n, access, lease = state.session.n, state.access, state.lease
    match event:
        case on.Leased() if lease is None:
            leased = replace(access, challenge=event.answer.challenge)
            return replace(state, access=leased, lease=event.answer), (
                do.SetTimer(n, Timer.DEADLINE, policy.tunnel_s),
                do.OpenTunnel(n, event.answer, state.receipt_sha256),
                do.Record(n, "post-quantum", access.answer.level),  # without it, no handshake
            )
        case on.TunnelUp() if lease is not None:
            limits = access.answer.policy
            measured = (event.handshake_ms, event.vm_ms, event.carrier)
            up = at.Open(state.session, access, state.project, *measured)
            return up, (
                do.Record(n, _RISEN[event.carrier], access.answer.level),
                do.ClearTimer(n, Timer.DEADLINE),
                do.SetTimer(n, Timer.RENEW, lease.lease_s / 2),
                do.SetTimer(n, Timer.IDLE, limits.idle_s),
                do.SetTimer(n, Timer.SESSION, limits.session_s),
                do.EndFinger(n),  # a process for the next session starts now, and not before
            )
        case _:
            return unforeseen(state)


def in_open(state: at.Open, event: on.Event, policy: Policy) -> Step:
    """Renew the lease, watch the clocks."""
    n, access = state.session.n, state.access
    match event:
        case on.TimedOut(timer=Timer.RENEW) if state.pending is not None:
            return state, (do.SendRenewal(n, state.pending),)  # the same bytes: the same answer
        case on.TimedOut(timer=Timer.RENEW) if not state.signing:
            renew = fields.Renew(
                box=policy.box,
                session=policy.session_id(n),
                challenge=access.challenge,
                n=state.renewals + 1,
            )
            return replace(state, signing=True), (do.Sign(n, renew),)
        case on.RenewalSigned() if state.signing and state.pending is None:
            return replace(state, pending=event.jws), (do.SendRenewal(n, event.jws),)
        case on.Renewed() if state.pending is not None:
            renewed = replace(
                state,
                access=replace(access, challenge=event.challenge),
                renewals=state.renewals + 1,
                signing=False,
                pending=None,
            )
            return renewed, (
                do.ExtendLease(n, event.lease_s),
                do.SetTimer(n, Timer.RENEW, event.lease_s / 2),
                do.Record(n, "lease-renewed", access.answer.level),
            )
        case on.Failed() if state.pending is not None and event.code in _UNHEARD:
            return state, (do.SetTimer(n, Timer.RENEW, policy.renewal_retry_s),)
        case on.Failed():
            return end(state, event.code)
        case on.UserActive():
            return state, (do.SetTimer(n, Timer.IDLE, access.answer.policy.idle_s),)
        case on.ProjectChosen():
            return state, ()  # a session has one
        case _:
            return unforeseen(state)
