"""Every question asked of the tables and every change made to them; built once, run often.

Each rule that two callers could break by racing is one conditional statement, or its caller holds a
row: those that begin with `hold_` lock it until the transaction ends, and are asked in this order:
box, card, session. Which rules there are is the business of sessions and tunnels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert, literal_column, or_, select, update
from sqlalchemy.exc import IntegrityError

from sdbox_agent.errors import Refused
from sdbox_agent.terms import Band
from sdbox_centre import access
from sdbox_centre.ageing import Ageing
from sdbox_centre.connections import halves
from sdbox_centre.memory import take
from sdbox_centre.tables import (
    ageing,
    attempts,
    boxes,
    cards,
    codes,
    enrolments,
    leases,
    receipts,
    sessions,
)
from sdbox_centre.upsert import Upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from sdbox_centre.facts import Shown

_p = bindparam
LIVE: Final = sessions.c.state != literal_column("'ended'")  # word for word as indexes have it

_BOX: Final = select(boxes).where(
    or_(boxes.c.tls_sha256 == _p("b_certificate"), boxes.c.tls_sha256 == _p("b_key"))
)
_HOLD_BOX: Final = _BOX.with_for_update(key_share=True)
_BOOT: Final = (
    update(boxes)
    .where(boxes.c.name == _p("b_box"), boxes.c.boot_counter <= _p("b_counter"))
    .values(boot_counter=_p("b_counter"), boot_id=_p("b_boot"))
)
_SUSPEND: Final = (
    update(boxes)
    .where(boxes.c.name == _p("b_box"), boxes.c.state == "active")
    .values(state="suspended")
    .returning(boxes.c.name)
)
_SESSION: Final = select(sessions).where(
    sessions.c.box == _p("b_box"),
    sessions.c.boot_counter == _p("b_counter"),
    sessions.c.name == _p("b_name"),
)
_HOLD_SESSION: Final = _SESSION.with_for_update(key_share=True)
_NEW_SESSION: Final = insert(sessions)
_LIVE_OF_BOX: Final = (
    select(sessions).where(sessions.c.box == _p("b_box"), LIVE).order_by(sessions.c.id)
)
_LIVE_OF_CARD: Final = select(sessions).where(sessions.c.card == _p("b_card"), LIVE)
_END: Final = (
    update(sessions)
    .where(sessions.c.id == _p("b_id"), LIVE)
    .values(state="ended", code=_p("b_code"))
    .returning(sessions.c.id)
)
_PROVED: Final = (
    update(sessions)
    .where(sessions.c.id == _p("b_id"), sessions.c.state == "hello")
    .values(
        state="proved",
        card=_p("b_card"),
        auth=_p("b_auth"),
        key_management=_p("b_key_management"),
        card_auth=_p("b_card_auth"),
        card_until_s=_p("b_card_until"),
        stands_until_s=_p("b_stands"),
        level=_p("b_level"),
        live_until_s=_p("b_until"),
    )
    .returning(sessions.c.id)
)
_GRANTED: Final = (
    update(sessions)
    .where(sessions.c.id == _p("b_id"), sessions.c.state.in_(("proved", "granted")))
    .values(state="granted", project=_p("b_project"), stands_until_s=_p("b_stands"))
    .returning(sessions.c.id)
)
_OPENED: Final = (
    update(sessions)
    .where(sessions.c.id == _p("b_id"), sessions.c.state == "granted")
    .values(state="open", live_until_s=_p("b_until"))
    .returning(sessions.c.id)
)
_RENEWED: Final = (
    update(sessions)
    .where(
        sessions.c.id == _p("b_id"),
        sessions.c.state == "open",
        sessions.c.renewals == _p("b_n") - 1,
    )
    .values(renewals=_p("b_n"), live_until_s=_p("b_until"))
    .returning(sessions.c.id)
)
_SPEND_OF_SESSION: Final = (
    update(sessions)
    .where(
        sessions.c.id == _p("b_id"),
        sessions.c.state == "proved",
        sessions.c.attempts < _p("b_most"),
    )
    .values(attempts=sessions.c.attempts + 1)
    .returning(sessions.c.attempts)
)
_CARD: Final = select(cards).where(cards.c.auth_sha256 == _p("b_auth"))
_HOLD_CARD: Final = _CARD.with_for_update(key_share=True)
_HOLD_CARD_OF: Final = (
    select(cards)
    .where(
        cards.c.auth_sha256
        == select(sessions.c.card)
        .where(
            sessions.c.box == _p("b_box"),
            sessions.c.boot_counter == _p("b_counter"),
            sessions.c.name == _p("b_name"),
        )
        .scalar_subquery()
    )
    .with_for_update(key_share=True)
)
_SPEND_OF_CARD: Final = (
    update(cards)
    .where(
        cards.c.auth_sha256 == _p("b_auth"),
        cards.c.failures == _p("b_failures"),
        cards.c.failures < access.LOCKED_FAILURES,
        cards.c.revoked_s.is_(None),
        cards.c.not_before_s <= _p("b_now"),
    )
    .values(failures=cards.c.failures + 1, not_before_s=_p("b_next"))
    .returning(cards.c.failures)
)
_CLEAR_CARD: Final = (
    update(cards).where(cards.c.auth_sha256 == _p("b_auth")).values(failures=0, not_before_s=0)
)
_UNLOCK_CARD: Final = _CLEAR_CARD.values(unlocks=cards.c.unlocks + 1, twice_s=None)
_ENROLMENT: Final = select(enrolments).where(enrolments.c.card == _p("b_card"))
_ATTEMPT: Final = insert(attempts)
_CODE_TOLD: Final = (
    update(attempts)
    .where(attempts.c.session == _p("b_id"), attempts.c.number == _p("b_number"))
    .values(code_right=_p("b_right"))
)
_CODE_RIGHT: Final = select(attempts.c.code_right).where(
    attempts.c.session == _p("b_id"), attempts.c.number == _p("b_number")
)
_CODE: Final = select(codes).where(codes.c.enrolment == _p("b_enrolment"))
_SET_CODE: Final = Upsert(codes, ["sealed"], {"last_step": 0})
_USE_STEP: Final = (
    update(codes)
    .where(codes.c.enrolment == _p("b_enrolment"), codes.c.last_step < _p("b_step"))
    .values(last_step=_p("b_step"))
    .returning(codes.c.last_step)
)
_AGEING: Final = select(ageing).where(ageing.c.enrolment == _p("b_enrolment"))
_SET_AGEING: Final = Upsert(ageing, ["bands", "declined"])
_RECEIPT: Final = Upsert(receipts)
_LEASE: Final = Upsert(leases, ["until_s", "wg_public_key"])
_LEASE_UNTIL: Final = (
    update(leases).where(leases.c.session == _p("b_id")).values(until_s=_p("b_until"))
)


def box(tx: Connection, fingerprint: bytes) -> Row[Any] | None:
    """The box with this TLS key, or this certificate: see connections.fingerprint_of."""
    return tx.execute(_BOX, _digests(fingerprint)).first()


def hold_box(tx: Connection, fingerprint: bytes) -> Row[Any] | None:
    """The same; it says hello to nobody else until this transaction ends."""
    return tx.execute(_HOLD_BOX, _digests(fingerprint)).first()


def _digests(fingerprint: bytes) -> dict[str, bytes]:
    certificate, key = halves(fingerprint)
    return {"b_certificate": certificate, "b_key": key}


def boot(tx: Connection, name: str, counter: int, boot_id: str) -> None:
    """Note a later start of the box."""
    tx.execute(_BOOT, {"b_box": name, "b_counter": counter, "b_boot": boot_id})


def suspend(tx: Connection, name: str) -> bool:
    """Until staff, this box gets no answer; False if it was out of service already.

    Holds the box, so it comes before its sessions.
    """
    return tx.execute(_SUSPEND, {"b_box": name}).first() is not None


def session(tx: Connection, box_name: str, counter: int, name: str) -> Row[Any] | None:
    """The session a box calls by this name since that start of its."""
    return tx.execute(_SESSION, {"b_box": box_name, "b_counter": counter, "b_name": name}).first()


def hold_session(tx: Connection, box_name: str, counter: int, name: str) -> Row[Any] | None:
    """The same; nobody else changes it until this transaction ends."""
    called = {"b_box": box_name, "b_counter": counter, "b_name": name}
    return tx.execute(_HOLD_SESSION, called).first()


def new_session(tx: Connection, box_row: Row[Any], name: str, now_s: int, until_s: int) -> None:
    """A session begins with a hello."""
    row = {"box": box_row.name, "boot_counter": box_row.boot_counter, "name": name}
    times = {"started_s": now_s, "live_until_s": until_s}
    tx.execute(_NEW_SESSION, {**row, **times, "state": "hello"})


def live_of_box(tx: Connection, box_name: str) -> list[Row[Any]]:
    """Sessions of the box that have not ended."""
    return list(tx.execute(_LIVE_OF_BOX, {"b_box": box_name}))


def live_of_card(tx: Connection, auth_sha256: bytes) -> list[Row[Any]]:
    """Sessions of the card that have not ended: one at most, by an index of the table."""
    return list(tx.execute(_LIVE_OF_CARD, {"b_card": auth_sha256}))


def end(tx: Connection, session_id: int, code: str) -> bool:
    """End a session; False if it had ended already."""
    return tx.execute(_END, {"b_id": session_id, "b_code": code}).first() is not None


def proved(
    tx: Connection,
    session_id: int,
    until_s: int,
    shown: Shown,
    standing: access.Standing,
) -> bool:
    """The proof holds: from here the session is the card's; False if it was ended meanwhile.

    Raises Refused: session-elsewhere, if the card got another meanwhile.
    """
    row = {
        "b_id": session_id,
        "b_card": shown.card,
        "b_auth": shown.auth,
        "b_key_management": shown.key_management,
        "b_card_auth": shown.card_auth,
        "b_card_until": shown.until_s,
        "b_stands": standing.until_s,
        "b_level": standing.level.value,
        "b_until": until_s,
    }
    try:
        return tx.execute(_PROVED, row).first() is not None
    except IntegrityError:
        raise Refused("session-elsewhere") from None


def granted(tx: Connection, session_id: int, project: str, stands_until_s: int) -> bool:
    """The receipt holds; False if the session can't enter any more."""
    values = {"b_id": session_id, "b_project": project, "b_stands": stands_until_s}
    return tx.execute(_GRANTED, values).first() is not None


def opened(tx: Connection, session_id: int, until_s: int) -> bool:
    """The peer is installed; False if the session was ended meanwhile."""
    return tx.execute(_OPENED, {"b_id": session_id, "b_until": until_s}).first() is not None


def renewed(tx: Connection, session_id: int, n: int, until_s: int) -> bool:
    """Renewal `n` holds; False if it is not the next one, or the session was ended."""
    row = tx.execute(_RENEWED, {"b_id": session_id, "b_n": n, "b_until": until_s}).first()
    return row is not None


def spend(tx: Connection, session_row: Row[Any], card_row: Row[Any], most: int, now_s: int) -> int:
    """Reserve one attempt of session and card; the attempt's number, or 0 if there is none left."""
    failures = card_row.failures
    taken = tx.execute(
        _SPEND_OF_CARD,
        {
            "b_auth": card_row.auth_sha256,
            "b_failures": failures,
            "b_now": now_s,
            "b_next": now_s + access.delay_s(failures + 1),
        },
    ).first()
    number = tx.execute(_SPEND_OF_SESSION, {"b_id": session_row.id, "b_most": most}).scalar()
    if taken is None or number is None:
        return 0
    take(tx, "attempts", card_row.auth_sha256.hex(), failures + 1)
    tx.execute(_ATTEMPT, {"session": session_row.id, "number": number, "at_s": now_s})
    return int(number)


def card(tx: Connection, auth_sha256: bytes) -> Row[Any] | None:
    """The card with this 9A certificate."""
    return tx.execute(_CARD, {"b_auth": auth_sha256}).first()


def hold_card(tx: Connection, auth_sha256: bytes) -> Row[Any] | None:
    """The same; nobody else counts or starts a session with it until this transaction ends."""
    return tx.execute(_HOLD_CARD, {"b_auth": auth_sha256}).first()


def hold_card_of(tx: Connection, box_name: str, counter: int, name: str) -> Row[Any] | None:
    """As `hold_card`, the card that a session was proved with."""
    called = {"b_box": box_name, "b_counter": counter, "b_name": name}
    return tx.execute(_HOLD_CARD_OF, called).first()


def clear_card(tx: Connection, auth_sha256: bytes) -> None:
    """An accepted receipt: the card's attempts are whole again."""
    tx.execute(_CLEAR_CARD, {"b_auth": auth_sha256})


def unlock_card(tx: Connection, auth_sha256: bytes) -> None:
    """Staff's act: whole again, and counted, so that each box learns to forget its own count."""
    tx.execute(_UNLOCK_CARD, {"b_auth": auth_sha256})


def enrolment(tx: Connection, auth_sha256: bytes) -> Row[Any] | None:
    """The enrolment made for this card."""
    return tx.execute(_ENROLMENT, {"b_card": auth_sha256}).first()


def code_told(tx: Connection, session_id: int, number: int, right: bool) -> None:  # noqa: FBT001
    """The verdict on the one-time code of this attempt."""
    tx.execute(_CODE_TOLD, {"b_id": session_id, "b_number": number, "b_right": right})


def code_right(tx: Connection, session_id: int, number: int) -> bool:
    """Was this attempt's one-time code the right one? False if it had none."""
    return bool(tx.execute(_CODE_RIGHT, {"b_id": session_id, "b_number": number}).scalar())


def code(tx: Connection, enrolment_id: str) -> Row[Any] | None:
    """The sealed secret of an enrolment's codes, and the last step used."""
    return tx.execute(_CODE, {"b_enrolment": enrolment_id}).first()


def set_code(tx: Connection, enrolment_id: str, sealed: bytes) -> None:
    """A new secret, of which nothing was used."""
    _SET_CODE.run(tx, {"enrolment": enrolment_id, "sealed": sealed})


def use_step(tx: Connection, enrolment_id: str, step: int) -> bool:
    """Use up this step and all before it; False if that was done meanwhile."""
    row = tx.execute(_USE_STEP, {"b_enrolment": enrolment_id, "b_step": step}).first()
    return row is not None


def ageing_of(tx: Connection, enrolment_id: str) -> Ageing:
    """How the enrolment's last matches were."""
    row = tx.execute(_AGEING, {"b_enrolment": enrolment_id}).first()
    return Ageing(tuple(map(Band, row.bands.split())), row.declined) if row else Ageing()


def aged(tx: Connection, enrolment_id: str, band: Band) -> None:
    """One more match. The caller holds the card, or another one's match would be lost."""
    after = ageing_of(tx, enrolment_id).after(band)
    row = {"bands": " ".join(after.bands), "declined": after.declined}
    _SET_AGEING.run(tx, {"enrolment": enrolment_id, **row})


def receipt(tx: Connection, session_id: int, statement: bytes, now_s: int) -> None:
    """Keep the receipt whole."""
    _RECEIPT.run(tx, {"session": session_id, "statement": statement, "at_s": now_s})


def lease(tx: Connection, session_id: int, wg_public_key: bytes, until_s: int) -> None:
    """Note what the gateway has installed."""
    row = {"session": session_id, "wg_public_key": wg_public_key, "until_s": until_s}
    _LEASE.run(tx, row)


def lease_until(tx: Connection, session_id: int, until_s: int) -> None:
    """Note a renewed lease."""
    tx.execute(_LEASE_UNTIL, {"b_id": session_id, "b_until": until_s})
