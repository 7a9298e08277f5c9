"""From the receipt to the lease, and each renewal: the API's half.

The gateway verifies the same statements again by itself; what only the API knows is whether a
challenge is fresh, an attempt was reserved, a reference was served, a grant still stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import POST_QUANTUM, Level
from sdbox_agent.tunnel import psk
from sdbox_centre import access, challenges, facts, review, rows, twice
from sdbox_centre.core import box_of, end_all, held, key_of, session_of
from sdbox_centre.gateway_wire import Install, Renewal
from sdbox_centre.store import note

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from sdbox_agent.terms import Band
    from sdbox_centre.core import Centre
    from sdbox_centre.gateway_wire import Installed


@dataclass(frozen=True, slots=True)
class _Call:
    """One receipt or renewal, its signatures verified."""

    now_s: int
    digest: bytes
    fingerprint: bytes
    session_name: str
    band: Band | None = None  # of a receipt's match


def receipt(
    centre: Centre, fingerprint: bytes, request: wire.ReceiptRequest, digest: bytes
) -> bytes:
    """What the session proved, signed by card (9A) and box: the gateway lets its peer in.

    Steps: (1) the session is live; (2) both signatures hold and name this box and session, and the
    post-quantum key beside them; (3) its challenge is fresh; (4) the card can have done what is
    said, level, enrolment, reference and attempt are those of the session, and at card-pin that
    attempt's code was right; (5) the access decision, again; (6) the gateway finds the same and
    installs the peer; (7) the session was not ended meanwhile; only now the card's attempts are
    whole again, and the match counts for the ageing of its reference.
    """
    call = _Call(centre.utc_s(), digest, fingerprint, request.session, request.band)
    with centre.store.begin() as tx:  # (1)
        box = box_of(tx, fingerprint)
        session = session_of(tx, box, request.session, call.now_s)
    if session.auth is None:
        raise Refused("statement-invalid")
    signers = [session.auth, box.statement_certificate]
    signed = jws.open_as(fields.Receipt, request.statement, signers)  # (2)
    _belongs(signed, session)
    psk.encapsulation_key(request.kem_key, signed.kem_key_sha256)
    three = (session.auth, session.key_management, session.card_auth)
    card = centre.cards.check(*three, call.now_s)
    access.claim(signed, match_bound=card.match_bound)  # (4)
    with centre.store.begin() as tx:
        kept = _grant(centre, tx, signed, request.statement, call)  # (3) to (5)
    installed = centre.gateway.install(  # (6)
        Install(
            box=session.box,
            statement=request.statement,
            kem_key=request.kem_key,
            auth=session.auth,
            key_management=session.key_management,
            card_auth=session.card_auth,
        )
    )
    challenge = kept or _open(centre, signed, installed, call)  # (7)
    return wire.encode(
        wire.ReceiptAnswer(
            peer=installed.peer,
            psk_salt=installed.psk_salt,
            kem_ciphertext=installed.kem_ciphertext,
            endpoint=installed.endpoint,
            addresses=installed.addresses,
            vm=installed.vm,
            lease_s=installed.lease_s,
            carrier=installed.carrier,
            challenge=challenge,
        )
    )


def _belongs(statement: fields.Receipt | fields.Renew, session: Row[Any]) -> None:
    if (statement.box, statement.session) != (session.box, session.name):
        raise Refused("statement-not-yours")


def _grant(
    centre: Centre, tx: Connection, signed: fields.Receipt, statement: bytes, call: _Call
) -> bytes | None:
    """Steps 3 to 5; the next challenge, if this very receipt was answered before."""
    _, session = held(tx, call.fingerprint, call.session_name, call.now_s)
    kept = challenges.take(tx, session.id, "transaction", signed.challenge, call.digest, call.now_s)
    if kept:
        return kept
    known = facts.gather(tx, session, facts.Shown.of(session), centre.proven)
    standing = access.decide(known, call.now_s)
    _did(tx, session, signed, call)
    until_s = standing.enter(signed.project)
    if not rows.granted(tx, session.id, signed.project, until_s):
        raise Refused("session-closed")
    rows.receipt(tx, session.id, statement, call.now_s)
    about = {"box": session.box, "session": session.name, "card": session.card}
    note(tx, call.now_s, "receipt", level=session.level, project=signed.project, **about)
    return None


def _did(tx: Connection, session: Row[Any], signed: fields.Receipt, call: _Call) -> None:
    """Raises Refused unless the receipt says what the session did."""
    enrolment = rows.enrolment(tx, session.card)
    if enrolment is None:
        raise Refused("reference-missing")  # decided already; this tells the type checker
    served = enrolment.reference_sha256 if session.level == Level.HOST_MATCH else None
    said = (signed.level.value, signed.enrolment, signed.reference_sha256, signed.attempt)
    if said != (session.level, enrolment.id, served, session.attempts) or signed.attempt < 1:
        raise Refused("statement-invalid")
    if call.band is not None and session.level != Level.HOST_MATCH:
        raise Refused("request-invalid")  # at the other levels no box has compared
    if session.level == Level.CARD_PIN and not rows.code_right(tx, session.id, signed.attempt):
        raise Refused("statement-invalid")


def _open(centre: Centre, signed: fields.Receipt, installed: Installed, call: _Call) -> bytes:
    """Step 7: the lease stands. Raises Refused if the session was ended meanwhile."""
    with centre.store.begin() as tx:
        box = rows.box(tx, call.fingerprint)
        called = box and (box.name, box.boot_counter, call.session_name)
        session = called and rows.hold_card_of(tx, *called) and rows.session(tx, *called)
        until_s = call.now_s + installed.lease_s
        if session and rows.opened(tx, session.id, until_s):
            rows.clear_card(tx, session.card)
            if call.band is not None:
                rows.aged(tx, signed.enrolment, call.band)
            rows.lease(tx, session.id, signed.wg_public_key, until_s)
            challenge = challenges.issue(tx, session.id, "renew", until_s, centre.random_bytes)
            challenges.keep(tx, signed.challenge, challenge)
            about = {"box": session.box, "session": session.name, "card": session.card}
            about |= {"level": session.level, "project": session.project}
            note(tx, call.now_s, "lease", post_quantum=POST_QUANTUM, **about)
            return challenge
        if session and session.state == "open":  # the same call, come twice, was answered meanwhile
            return challenges.kept(tx, session.id, signed.challenge)
    centre.evict([f"{signed.box}/{signed.session}"])
    raise Refused("session-closed")


def renew(centre: Centre, fingerprint: bytes, request: wire.RenewRequest, digest: bytes) -> bytes:
    """The card is still there, and signed so: the lease runs on, if everything still stands.

    If something does not, the session ends here and now, and does not wait for its lease.
    """
    call = _Call(centre.utc_s(), digest, fingerprint, request.session)
    with centre.store.begin() as tx:
        session = session_of(tx, box_of(tx, fingerprint), request.session, call.now_s)
    if session.auth is None:
        raise Refused("statement-invalid")
    signed = jws.open_as(fields.Renew, request.statement, [session.auth])
    _belongs(signed, session)
    three = (session.auth, session.key_management, session.card_auth)
    try:
        centre.cards.check(*three, call.now_s)
    except Refused as refusal:
        with centre.store.begin() as tx:
            end_all(tx, [session], refusal.code, call.now_s)
        centre.evict([key_of(session)])
        raise
    with centre.store.begin() as tx:
        kept, code = _still(centre, tx, signed, call)
    if code is not None:
        centre.evict([key_of(session)])
        raise Refused(code)
    if kept:
        return kept
    renewed = centre.gateway.renew(
        Renewal(key=key_of(session), statement=request.statement, challenge=signed.challenge)
    )
    with centre.store.begin() as tx:
        rows.hold_card(tx, session.card)
        until_s = call.now_s + renewed.lease_s
        if rows.renewed(tx, session.id, signed.n, until_s):
            rows.lease_until(tx, session.id, until_s)
            challenge = challenges.issue(tx, session.id, "renew", until_s, centre.random_bytes)
            answer = wire.encode(wire.RenewAnswer(lease_s=renewed.lease_s, challenge=challenge))
            challenges.keep(tx, signed.challenge, answer)
            note(tx, call.now_s, "renew", box=session.box, session=session.name, card=session.card)
            return answer
        answer = challenges.kept(tx, session.id, signed.challenge)
        if answer:  # the same call, come twice, was answered meanwhile
            return answer
    centre.evict([key_of(session)])
    raise Refused("session-closed")


def _still(
    centre: Centre, tx: Connection, signed: fields.Renew, call: _Call
) -> tuple[bytes, str | None]:
    """The answer kept for it, if any; or the code by which this has ended the session."""
    _, session = held(tx, call.fingerprint, call.session_name, call.now_s)
    kept = challenges.take(tx, session.id, "renew", signed.challenge, call.digest, call.now_s)
    if kept:
        return kept, None
    if session.state != "open" or signed.n != session.renewals + 1:
        raise Refused("statement-invalid")
    if twice.proven_by(session, signed.n):
        twice.alarm(tx, session, call.now_s)
        return b"", "card-twice"
    code = review.why_over(tx, session, call.now_s, centre.proven)
    if code is not None:
        end_all(tx, [session], code, call.now_s)
    return b"", code
