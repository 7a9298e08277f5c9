"""Live sessions decided again: after each change of a fact, and when a date has come.

By the function that let them in. A session that no longer stands is ended with the code of that
decision; its box is told in the same transaction, its peer is the caller's to have removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select, update

from sdbox_agent.errors import Refused
from sdbox_centre import access, facts, rows
from sdbox_centre.core import revoke_all
from sdbox_centre.tables import cards, sessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row, Select

    from sdbox_centre.core import Centre
    from sdbox_centre.facts import Proven

EVERY_S: Final = 10  # dates pass while nobody acts
AT_ONCE: Final = 50  # sessions of one project may end by the thousand, a transaction has seconds

_LIVE: Final = select(sessions).where(rows.LIVE, sessions.c.card.is_not(None))
_DUE: Final = (
    select(sessions)
    .where(rows.LIVE, sessions.c.stands_until_s <= bindparam("b_now"))
    .order_by(sessions.c.stands_until_s)
    .limit(AT_ONCE)
)
_STANDS: Final = (
    update(sessions)
    .where(sessions.c.id == bindparam("b_id"))
    .values(stands_until_s=bindparam("b_stands"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """Whose sessions a change may end: of all that is named here; nothing named: everyone's."""

    holder: str | None = None
    card: bytes | None = None
    box: str | None = None
    project: str | None = None

    def sessions(self) -> Select[Any]:
        """The live ones."""
        wanted = _LIVE
        if self.holder is not None:
            held = select(cards.c.auth_sha256).where(cards.c.holder == self.holder)
            wanted = wanted.where(sessions.c.card.in_(held))
        named = ((sessions.c.card, self.card), (sessions.c.box, self.box))
        for column, value in (*named, (sessions.c.project, self.project)):
            if value is not None:
                wanted = wanted.where(column == value)
        return wanted


def review(tx: Connection, now_s: int, touched: Touched, proven: Proven) -> list[str]:
    """Decide again over the sessions touched; returns what the gateway must remove."""
    return _again(tx, now_s, tx.execute(touched.sessions()).all(), proven)


def sweep(centre: Centre) -> None:
    """End what stood until a date that has come: some in each transaction, as calls wait for it."""
    now_s = centre.utc_s()
    while True:
        with centre.store.begin() as tx:
            due = tx.execute(_DUE, {"b_now": now_s}).all()
            gone = _again(tx, now_s, due, centre.proven)
        centre.evict(gone)
        if len(due) < AT_ONCE:
            return


def _again(tx: Connection, now_s: int, which: Sequence[Row[Any]], proven: Proven) -> list[str]:
    """In one order: two reviews at once wait for each other, and never both."""
    ordered = sorted(which, key=lambda session: session.id)
    codes = ((session, why_over(tx, session, now_s, proven)) for session in ordered)
    return revoke_all(tx, [(one, code) for one, code in codes if code is not None], now_s)


def why_over(tx: Connection, session: Row[Any], now_s: int, proven: Proven) -> str | None:
    """The code of a session that no longer stands, or None: then it is noted until when."""
    try:
        known = facts.gather(tx, session, facts.Shown.of(session), proven)
        standing = access.decide(known, now_s)
        until_s = standing.until_s
        if session.project is not None:
            until_s = standing.enter(session.project)
    except Refused as refusal:
        return refusal.code
    if until_s != session.stands_until_s:
        tx.execute(_STANDS, {"b_id": session.id, "b_stands": until_s})
    return None
