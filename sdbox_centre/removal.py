"""What may be removed from the tables: only what nothing hangs on. One statement each.

A holder goes after the cards and grants. A box that was ever heard or told of anything is retired,
and stays: receipts name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, exists, select

from sdbox_agent.errors import Refused
from sdbox_centre.tables import boxes, cards, grants, holders, links, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

_HOLDER: Final = (
    delete(holders)
    .where(
        holders.c.id == bindparam("b_name"),
        ~exists().where(cards.c.holder == holders.c.id),
        ~exists().where(grants.c.holder == holders.c.id),
    )
    .returning(holders.c.id)
)
_IS_HOLDER: Final = select(holders.c.id).where(holders.c.id == bindparam("b_name"))
_BOX: Final = (
    delete(boxes)
    .where(
        boxes.c.name == bindparam("b_name"),
        ~exists().where(sessions.c.box == boxes.c.name),
        ~exists().where(links.c.box == boxes.c.name),  # and with it events and messages
    )
    .returning(boxes.c.name)
)
_IS_BOX: Final = select(boxes.c.name).where(boxes.c.name == bindparam("b_name"))


def remove_holder(tx: Connection, holder: str) -> None:
    """Raises Refused: not-found, holder-in-use."""
    named = {"b_name": holder}
    if tx.execute(_HOLDER, named).first() is None:
        known = tx.execute(_IS_HOLDER, named).first()
        raise Refused("not-found" if known is None else "holder-in-use")


def remove_box(tx: Connection, box: str) -> None:
    """Raises Refused: not-found, box-in-use."""
    named = {"b_name": box}
    if tx.execute(_BOX, named).first() is None:
        known = tx.execute(_IS_BOX, named).first()
        raise Refused("not-found" if known is None else "box-in-use")
