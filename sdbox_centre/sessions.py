"""A session from hello to the last attempt, and its end: what the API answers, and why not.

The box was named by its TLS certificate; `fingerprint` is that certificate's SHA-256. Each call is
one transaction; what a refusal changed is rolled back with it, but for a clone's suspension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from sdbox_centre import access, boots, challenges, facts, places, rows, twice
from sdbox_centre.core import box_of, delivered, end_all, held, key_of, session_of
from sdbox_centre.store import note

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from sdbox_centre.core import Centre


def hello(
    centre: Centre,
    fingerprint: bytes,
    request: wire.HelloRequest,
    _digest: bytes,
    network: str | None = None,
) -> bytes:
    """The box is there; with `session`, a card was put in: its challenge.

    `network`: where it came from (places.network_of): before its card is heard, its place is seen.
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
        clone = boots.is_clone(box, request)
        gone, challenge = ([], None) if clone else _greet(centre, tx, box, request, now_s)
        if not clone:
            places.observe(tx, box, network, (), now_s, centre.random_bytes)
    if clone:
        boots.suspend_clone(centre, box.name, "hello")
        raise Refused("box-clone")
    centre.evict(gone)
    return wire.encode(
        wire.HelloAnswer(
            utc_s=now_s,
            wire=chosen,
            policy_version=centre.policy.version,
            challenge=challenge,
        )
    )


def _greet(
    centre: Centre, tx: Connection, box: Row[Any], request: wire.HelloRequest, now_s: int
) -> tuple[list[str], bytes | None]:
    gone = boots.take(tx, box, request, now_s)
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
    challenge is fresh: the card is here now, and whatever else is refused, other sessions of it
    are judged by that; (5) the access decision: card, enrolment, box, level, other sessions,
    projects. Raises Refused with the code of the first step that fails.
    """
    now_s = centre.utc_s()
    with centre.store.begin() as tx:  # (1)
        session = session_of(tx, box_of(tx, fingerprint), request.session, now_s)
    three = (request.auth, request.key_management, request.card_auth)
    card = centre.cards.check(*three, now_s)  # (2)
    offered = frozenset(request.levels) - (set() if centre.codes else {Level.CARD_PIN})
    until_s = int(card.valid_until.timestamp())
    shown = facts.Shown(*three, until_s, card.match_bound, offered)
    signers = (request.card_auth, request.auth)
    statement = jws.open_by_one_of(fields.Proof, request.statement, signers)  # (3)
    if (statement.box, statement.session) != (session.box, session.name):
        raise Refused("statement-not-yours")
    fresh = False
    try:
        with centre.store.begin() as tx:
            box = box_of(tx, fingerprint)
            rows.hold_card(tx, shown.card)
            session = session_of(tx, box, request.session, now_s, rows.hold_session)
            kept = challenges.take(tx, session.id, "proof", statement.challenge, digest, now_s)
            if kept is not None:  # (4)
                return kept
            fresh = True
            gone = twice.left_behind(tx, shown.card, session, now_s)
            answer = _admit(centre, tx, session, shown, now_s)  # (5)
            challenges.keep(tx, statement.challenge, answer)
    except Refused:
        if fresh:
            twice.contest(centre, shown.card, session, now_s)
        raise
    centre.evict(gone)
    return answer


def _admit(
    centre: Centre, tx: Connection, session: Row[Any], shown: facts.Shown, now_s: int
) -> bytes:
    standing = access.decide(facts.gather(tx, session, shown, centre.proven), now_s)
    card, enrolment = rows.card(tx, shown.card), rows.enrolment(tx, shown.card)
    if card is None or enrolment is None:
        raise Refused("card-unknown")  # decided already; this tells the type checker
    access.may_compare(card.failures, card.not_before_s, now_s)
    grants, level = standing.choices(), standing.level
    until_s = now_s + challenges.TRANSACTION_S
    if not rows.proved(tx, session.id, until_s, shown, standing):
        raise Refused("session-closed")
    about = {"box": session.box, "session": session.name, "card": shown.card}
    note(tx, now_s, "proof", level=level.value, **about)
    aged = rows.ageing_of(tx, enrolment.id).notices if level is Level.HOST_MATCH else ()
    reference = bytes(enrolment.reference) if level is Level.HOST_MATCH else None
    delivered(tx, now_s, "policy", wire.encode(centre.policy), session.box, session.name)
    if reference is not None:
        delivered(tx, now_s, "reference", reference, session.box, session.name)
    return wire.encode(
        wire.ProofAnswer(
            level=level,
            policy=centre.policy,
            grants=grants,
            enrolment=enrolment.id,
            reference=reference,
            attempts_left=access.attempts_left(card.failures),
            unlocks=card.unlocks,
            notices=(*aged, *standing.notices),
            challenge=challenges.issue(tx, session.id, "transaction", until_s, centre.random_bytes),
        )
    )


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
        access.may_compare(card.failures, card.not_before_s, now_s)
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
