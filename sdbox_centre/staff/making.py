"""What follows from an act that holds: its row, and which live sessions end.

Decides nothing: what an act may say was seen before it came here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, select, update

from sdbox_agent.errors import Refused
from sdbox_centre import rows, tables
from sdbox_centre.core import end_all
from sdbox_centre.staff import columns
from sdbox_centre.staff.payload import Box, Card, EndSession, Enrolment, Grant, Project, Unlock
from sdbox_centre.tables import cards, enrolments, sessions

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from sdbox_centre.staff.columns import Fact
    from sdbox_centre.staff.ledger import Signed
    from sdbox_centre.staff.payload import Act

_WITHDRAW: Final = delete(tables.grants).where(
    tables.grants.c.holder == bindparam("b_holder"),
    tables.grants.c.project == bindparam("b_project"),
)


def make(tx: Connection, signed: Signed, reference: bytes | None) -> None:
    """Make the act's row what it says.

    Raises Refused: not-found, act-impossible (a reference that is not the one signed for, a card
    of somebody else); IntegrityError for what it names and is not there.
    """
    fact = columns.fact_of(signed)
    match signed.act:
        case Enrolment() as act:
            assert fact is not None
            _enrol(tx, act, fact, reference)
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


def end(tx: Connection, act: Act, now_s: int) -> list[str]:
    """End the sessions that no longer stand; returns what the gateway must remove."""
    wanted: ColumnElement[bool]
    match act:
        case Grant(withdrawn=True):
            held = select(cards.c.auth_sha256).where(cards.c.holder == act.holder)
            wanted = sessions.c.card.in_(held) & (sessions.c.project == act.project)
        case Project() if act.state != "open":
            wanted = sessions.c.project == act.project
        case Card(revoked=True):
            wanted = sessions.c.card == act.card
        case Box() if act.state != "active":
            wanted = sessions.c.box == act.box
        case EndSession():
            wanted = (sessions.c.box == act.box) & (sessions.c.name == act.session)
        case _:
            return []
    live = tx.execute(select(sessions).where(wanted, sessions.c.state != "ended")).all()
    if isinstance(act, EndSession) and not live:
        raise Refused("not-found")
    return end_all(tx, live, "revoked", now_s)
