"""A session from hello to the last attempt, and its end: what the API answers, and why not.

The box was named by its TLS certificate; `fingerprint` is that certificate's SHA-256. Each call is
one transaction; what a refusal changed is rolled back with it, but for a clone's suspension.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from sdbox_centre import access, challenges, rows
from sdbox_centre.core import box_of, end_all, held, key_of, session_of
from sdbox_centre.store import note

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from sdbox_centre.core import Centre


@dataclass(frozen=True, slots=True)
class Shown:
    """What a proof brought: the card's certificates, verified, and what 9A says of its PIN."""

    auth: bytes
    key_management: bytes
    card_auth: bytes
    match_bound: bool


def hello(centre: Centre, fingerprint: bytes, request: wire.HelloRequest, _digest: bytes) -> bytes:
    """The box is there; with `session`, a card was put in: its challenge.

    Raises Refused: box-refused, box-suspended, box-clone, wire-unsupported, request-invalid.
    """
    now_s = centre.utc_s()
    chosen = min(request.wire_max, wire.WIRE_MAX)
    with centre.store.begin() as tx:
        box = box_of(tx, fingerprint, rows.hold_box)
        if request.box != box.name:
            raise Refused("box-refused")
        if chosen < max(request.wire_min, wire.WIRE_MIN):
            raise Refused("wire-unsupported")
        clone = _is_clone(box, request)
        if clone:
            note(tx, now_s, "hello", "box-clone", box=box.name)
            gone = end_all(tx, rows.live_of_box(tx, box.name), "box-clone", now_s)
            rows.suspend(tx, box.name)
            challenge = None
        else:
            gone, challenge = _greet(centre, tx, box, request, now_s)
    centre.evict(gone)
    if clone:
        raise Refused("box-clone")
    return wire.encode(
        wire.HelloAnswer(
            utc_s=now_s,
            wire=chosen,
            policy_version=centre.policy.version,
            challenge=challenge,
        )
    )


def _is_clone(box: Row[Any], request: wire.HelloRequest) -> bool:
    """Two live starts of one box, or a start counter that goes back (design section 4)."""
    if request.boot_counter == box.boot_counter and box.boot_id is not None:
        return bool(request.boot_id != box.boot_id)
    return bool(request.boot_counter < box.boot_counter)


def _greet(
    centre: Centre, tx: Connection, box: Row[Any], request: wire.HelloRequest, now_s: int
) -> tuple[list[str], bytes | None]:
    gone: list[str] = []
    if box.boot_id != request.boot_id:
        rows.boot(tx, box.name, request.boot_counter, request.boot_id)
        gone = end_all(tx, rows.live_of_box(tx, box.name), "shutdown", now_s)
        note(tx, now_s, "boot", box=box.name)
        box = rows.box(tx, box.tls_sha256) or box
    if request.session is None:
        return gone, None
    if not request.session.startswith(f"{request.boot_id}-"):
        raise Refused("request-invalid")
    others = [s for s in rows.live_of_box(tx, box.name) if s.name != request.session]
    gone += end_all(tx, others, "session-closed", now_s)  # one reader slot, one session
    session = rows.hold_session(tx, box.name, box.boot_counter, request.session)
    if session is None:
        until_s = now_s + challenges.PROOF_S
        rows.new_session(tx, box, request.session, now_s, until_s)
        session = rows.hold_session(tx, box.name, box.boot_counter, request.session)
    if session is None or session.state != "hello":
        raise Refused("session-closed")
    challenges.forget_old(tx, now_s)
    expires_s = session.started_s + challenges.PROOF_S
    if expires_s <= now_s:
        raise Refused("session-closed")
    challenge = challenges.issue(tx, session.id, "proof", expires_s, centre.random_bytes)
    return gone, challenge


def proof(centre: Centre, fingerprint: bytes, request: wire.ProofRequest, digest: bytes) -> bytes:
    """A card signed the challenge: may it start a session here, and at which level?

    Steps: (1) box and session are known; (2) the three certificates are those of one valid card;
    (3) the statement is signed by its 9E or 9A key and is of this box and session; (4) its
    challenge is fresh; (5) card, attempts, enrolment, other sessions; (6) level; (7) projects.
    Raises Refused with the code of the first step that fails.
    """
    now_s = centre.utc_s()
    with centre.store.begin() as tx:  # (1)
        session_of(tx, box_of(tx, fingerprint), request.session, now_s)
    three = (request.auth, request.key_management, request.card_auth)
    shown = Shown(*three, centre.cards.check(*three, now_s).match_bound)  # (2)
    signers = (request.card_auth, request.auth)
    statement = jws.open_by_one_of(fields.Proof, request.statement, signers)  # (3)
    with centre.store.begin() as tx:
        box = box_of(tx, fingerprint)
        card = _card_shown(rows.hold_card(tx, hashlib.sha256(shown.auth).digest()), shown)
        session = session_of(tx, box, request.session, now_s, rows.hold_session)
        if (statement.box, statement.session) != (box.name, session.name):
            raise Refused("statement-not-yours")
        kept = challenges.take(tx, session.id, "proof", statement.challenge, digest, now_s)  # (4)
        if kept is not None:
            return kept
        answer = _admit(centre, tx, session, card, shown, request.levels)  # (5) to (7)
        challenges.keep(tx, statement.challenge, answer)
    return answer


def _admit(
    centre: Centre,
    tx: Connection,
    session: Row[Any],
    card: Row[Any] | None,
    shown: Shown,
    offered: tuple[Level, ...],
) -> bytes:
    now_s = centre.utc_s()
    name = hashlib.sha256(shown.auth).digest()
    stale = [s for s in rows.live_of_card(tx, name) if s.live_until_s <= now_s]
    end_all(tx, stale, "lease-expired", now_s)  # their peers went by the gateway's clock
    elsewhere = any(s.id != session.id for s in rows.live_of_card(tx, name))
    enrolment = rows.enrolment(tx, name)
    enrolled = None if enrolment is None else _enrolled(centre, tx, enrolment)
    known = None if card is None else facts(card)
    access.admit(known, enrolled, live_elsewhere=elsewhere, now_s=now_s)
    if card is None or enrolment is None or enrolled is None:
        raise Refused("card-unknown")  # admit has said so already; this tells the type checker
    level = access.level(enrolled, match_bound=shown.match_bound, offered=offered)
    grants = access.grants(rows.projects_of(tx, card.holder), level)
    until_s = now_s + challenges.TRANSACTION_S
    if not rows.proved(tx, session.id, name, until_s, shown, level):
        raise Refused("session-closed")
    note(tx, now_s, "proof", box=session.box, session=session.name, card=name, level=level.value)
    return wire.encode(
        wire.ProofAnswer(
            level=level,
            policy=centre.policy,
            grants=grants,
            enrolment=enrolment.id,
            reference=bytes(enrolment.reference) if level is Level.HOST_MATCH else None,
            attempts_left=access.attempts_left(card.failures),
            unlocks=card.unlocks,
            notices=rows.ageing_of(tx, enrolment.id).notices if level is Level.HOST_MATCH else (),
            challenge=challenges.issue(tx, session.id, "transaction", until_s, centre.random_bytes),
        )
    )


def _card_shown(card: Row[Any] | None, shown: Shown) -> Row[Any] | None:
    """The row, if all three certificates are those it was issued with."""
    if card is None:
        return None
    others = tuple(hashlib.sha256(der).digest() for der in (shown.key_management, shown.card_auth))
    return card if others == (card.key_management_sha256, card.card_auth_sha256) else None


def _enrolled(centre: Centre, tx: Connection, enrolment: Row[Any]) -> access.Enrolment:
    """What the access decision wants to know of an enrolment."""
    return access.Enrolment(
        kind=cast("access.Kind", enrolment.kind),
        has_reference=enrolment.reference is not None,
        has_code=centre.codes is not None and rows.code(tx, enrolment.id) is not None,
        not_before_s=enrolment.not_before_s,
        not_after_s=enrolment.not_after_s,
    )


def facts(card: Row[Any]) -> access.Card:
    """What the access decision wants to know of a card."""
    return access.Card(card.revoked_s is not None, card.failures, card.not_before_s)


def attempt(
    centre: Centre, fingerprint: bytes, request: wire.AttemptRequest, digest: bytes
) -> bytes:
    """Reserve one comparison, on the disk, before it runs; at card-pin, judge the code instead.

    The attempt is counted first, and stays spent whatever the code was. Raises Refused:
    request-invalid (a code at another level, or none at card-pin), attempts-exhausted, too-soon,
    card-locked, card-revoked, challenge-*.
    """
    now_s = centre.utc_s()
    with centre.store.begin() as tx:
        card, session = held(tx, fingerprint, request.session, now_s)
        kept = challenges.take(tx, session.id, "transaction", request.challenge, digest, now_s)
        if kept is not None:
            return kept
        if (request.otp is None) is (session.level == Level.CARD_PIN):
            raise Refused("request-invalid")
        if card is None or card.revoked_s is not None:
            raise Refused("card-revoked")
        if session.state != "proved" or session.attempts >= centre.policy.comparisons:
            raise Refused("attempts-exhausted")
        access.may_compare(facts(card), now_s)
        number = rows.spend(tx, session, card, centre.policy.comparisons, now_s)
        if not number:
            raise Refused("attempts-exhausted")
        right = None if request.otp is None else _judge(centre, tx, session, number, request.otp)
        verdict = "code-wrong" if right is False else "done"
        about = {"box": session.box, "session": session.name, "card": card.auth_sha256}
        note(tx, now_s, "attempt", verdict, level=session.level, **about)
        answer = wire.encode(
            wire.AttemptAnswer(
                attempt=number,
                left=access.attempts_left(card.failures + 1),
                challenge=challenges.issue(
                    tx, session.id, "transaction", session.live_until_s, centre.random_bytes
                ),
                code_right=right,
            )
        )
        challenges.keep(tx, request.challenge, answer)
    return answer


def _judge(centre: Centre, tx: Connection, session: Row[Any], number: int, code: str) -> bool:
    """Is this the code of the session's enrolment? Noted beside its attempt."""
    enrolment = rows.enrolment(tx, session.card)
    right = (
        centre.codes is not None
        and enrolment is not None
        and centre.codes.use(tx, enrolment.id, code, centre.utc_s())
    )
    rows.code_told(tx, session.id, number, right)
    return right


def end(centre: Centre, fingerprint: bytes, request: wire.EndRequest, _digest: bytes) -> bytes:
    """The box says that its session is over. Told twice, it is still over."""
    now_s = centre.utc_s()
    with centre.store.begin() as tx:
        box = box_of(tx, fingerprint)
        session = rows.session(tx, box.name, box.boot_counter, request.session)
        if session is None:
            raise Refused("not-found")
        end_all(tx, [session], request.code, now_s)
    centre.evict([key_of(session)])
    return wire.encode(wire.EndAnswer())
