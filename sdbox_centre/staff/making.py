"""What follows from an act that holds: its row, what is remembered, which live sessions end.

Decides nothing: what an act may say was seen before it came here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, exists, insert, or_, select, update

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from sdbox_centre import linkrows, rows, tables
from sdbox_centre.core import revoke_all
from sdbox_centre.memory import take
from sdbox_centre.review import Touched, review
from sdbox_centre.staff import columns
from sdbox_centre.staff.payload import (
    Box,
    Card,
    Derogation,
    EndSession,
    Enrolment,
    Grant,
    Holder,
    Project,
    Unlock,
    Window,
)
from sdbox_centre.tables import cards, enrolments, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sdbox_centre.facts import Proven
    from sdbox_centre.memory import Kind
    from sdbox_centre.staff.columns import Fact
    from sdbox_centre.staff.ledger import Signed
    from sdbox_centre.staff.payload import Act

_WITHDRAW: Final = delete(tables.grants).where(
    tables.grants.c.holder == bindparam("b_holder"),
    tables.grants.c.project == bindparam("b_project"),
)
_IN_USE: Final = select(
    or_(
        exists().where(cards.c.holder == bindparam("b_holder")),
        exists().where(tables.grants.c.holder == bindparam("b_holder")),
    )
)
_REMOVE: Final = delete(tables.holders).where(tables.holders.c.id == bindparam("b_holder"))


def make(tx: Connection, signed: Signed, reference: bytes | None) -> None:
    """Make the act's row what it says.

    Raises Refused: not-found, act-impossible (a reference that is not the one signed for, a card
    of somebody else), holder-in-use; IntegrityError for what it names and is not there.
    """
    fact = columns.fact_of(signed)
    match signed.act:
        case Enrolment() as act:
            assert fact is not None
            _enrol(tx, act, fact, reference)
        case Holder(removed=True) as act:
            if tx.execute(_IN_USE, {"b_holder": act.holder}).scalar_one():
                raise Refused("holder-in-use")
            tx.execute(_REMOVE, {"b_holder": act.holder})
        case Grant(withdrawn=True) as act:
            tx.execute(_WITHDRAW, {"b_holder": act.holder, "b_project": act.project})
        case Unlock(card=card):
            if rows.card(tx, card) is None:
                raise Refused("not-found")
            rows.unlock_card(tx, card)
        case _ if fact is not None:
            _put(tx, fact)
        case _:
            pass


def _put(tx: Connection, fact: Fact, **beside: Any) -> None:  # noqa: ANN401
    """One row, there or not."""
    key = [fact.table.c[name] == value for name, value in fact.key.items()]
    said = {**fact.said, **beside}
    if not tx.execute(update(fact.table).where(*key).values(said)).rowcount:
        tx.execute(insert(fact.table), {**fact.key, **said})


def _enrol(tx: Connection, act: Enrolment, fact: Fact, reference: bytes | None) -> None:
    """The holder's one enrolment: an earlier one, and its codes, are gone."""
    if columns.digest(reference) != act.reference_sha256:
        raise Refused("act-impossible")
    held = select(cards.c.auth_sha256).where(cards.c.holder == act.holder)
    if act.card not in tx.execute(held).scalars().all():
        raise Refused("act-impossible")
    earlier = enrolments.c.card.in_(held) & (enrolments.c.id != act.enrolment)
    of_earlier = select(enrolments.c.id).where(earlier)
    tx.execute(delete(tables.codes).where(tables.codes.c.enrolment.in_(of_earlier)))
    tx.execute(delete(enrolments).where(earlier))
    _put(tx, fact, reference=reference)


def draw(tx: Connection, signed: Signed, now_s: int, proven: Proven) -> list[str]:
    """Draw its consequences; returns what the gateway must remove.

    What it takes away is remembered, the sessions it touches are decided again, boxes are told.
    Raises Refused: not-found (no such session).
    """
    act = signed.act
    taken = _taken(act)
    if taken is not None:
        take(tx, *taken)
    if isinstance(act, EndSession):
        return _end_session(tx, act, now_s)
    touched = _touched(act)
    gone = [] if touched is None else review(tx, now_s, touched, proven)
    if isinstance(act, Box) and act.state in {"suspended", "retired"}:
        linkrows.tell(tx, act.box, wire.BoxSuspended(), now_s)
    if isinstance(act, Window):
        linkrows.tell_all(tx, wire.Window(act=signed.statement), now_s)
    return gone


def _taken(act: Act) -> tuple[Kind, str] | None:
    """What an old database must not bring back: see `restore`."""
    match act:
        case Grant(withdrawn=True):
            return "grant", f"{act.holder}/{act.project}"
        case Project(state="suspended" | "closed"):
            return "project", act.project
        case Card(revoked=True):
            return "card", act.card.hex()
        case Box(state="suspended" | "retired"):
            return "box", act.box
        case _:
            return None


def _touched(act: Act) -> Touched | None:
    """Whose sessions may no longer stand."""
    match act:
        case Grant():
            return Touched(holder=act.holder, project=act.project)
        case Project():
            return Touched(project=act.project)
        case Card():
            return Touched(card=act.card)
        case Enrolment():
            return Touched(holder=act.holder)
        case Box() | Derogation():
            return Touched(box=act.box)
        case _:
            return None


def _end_session(tx: Connection, act: EndSession, now_s: int) -> list[str]:
    named = (sessions.c.box == act.box) & (sessions.c.name == act.session)
    live = tx.execute(select(sessions).where(named, rows.LIVE)).all()
    if not live:
        raise Refused("not-found")
    return revoke_all(tx, [(one, "revoked") for one in live], now_s)
