"""One card at two boxes: how a card that was moved is told from a card that was copied.

A card proves at one box while it has a session at another. Where no tunnel is up there, it was
moved, or may as well have been: that session ends, and the new one goes on. Where one is up, the
new session is refused and ended, and the tunnel is *contested*. A box that lost power, or its
network, with the card in it, says nothing more: its lease runs out within the minute, and then the
card is welcome. Nobody is accused.

A tunnel that is contested and renewed all the same is more than that. The renewal under way may
have been signed before the card was pulled: its challenge was out by then. The challenge of the
one after it was made after the card had signed elsewhere, and an honest box signs for a session
only while the card stays in. Whoever signs that one holds the key that another card holds too, or
the box lies. So this session ends as the other did, an alarm is written, and the card opens nothing
until staff have looked into it. No clock of a box comes into it, and no delay of a network. What it
costs: a copy in use is found out within two renewals, not at once, and until then only the session
that was there first goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, select, update

from sdbox_centre import rows
from sdbox_centre.core import end_all, revoke_all, tell_over
from sdbox_centre.memory import take
from sdbox_centre.store import note
from sdbox_centre.tables import cards, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from sdbox_centre.core import Centre

_CONTEST: Final = (
    update(sessions)
    .where(
        sessions.c.card == bindparam("b_card"),
        sessions.c.box != bindparam("b_box"),
        sessions.c.state == "open",
        sessions.c.live_until_s > bindparam("b_now"),
    )
    .values(
        contested_by=func.coalesce(sessions.c.contested_by, bindparam("b_here")),
        # The challenge of the next renewal is out; that of the one after it is not.
        contested_n=func.coalesce(sessions.c.contested_n, sessions.c.renewals + 2),
    )
    .returning(sessions.c.id)
)
_TWICE: Final = (
    update(cards)
    .where(cards.c.auth_sha256 == bindparam("b_card"))
    .values(twice_s=bindparam("b_now"))
)


_SESSION: Final = select(sessions).where(sessions.c.id == bindparam("b_id"))


def left_behind(tx: Connection, card: bytes, here: Row[Any], now_s: int) -> list[str]:
    """End the card's sessions elsewhere that have no tunnel; returns what the gateway removes."""
    others = [one for one in rows.live_of_card(tx, card) if one.id != here.id]
    over = [one for one in others if one.live_until_s <= now_s]
    end_all(tx, over, "lease-expired", now_s)  # their peers went by the gateway's clock
    moved = [one for one in others if one.live_until_s > now_s and one.state != "open"]
    return revoke_all(tx, [(one, "session-elsewhere") for one in moved], now_s)


def contest(centre: Centre, card: bytes, here: Row[Any], now_s: int) -> None:
    """The card has just proved to be here: a tunnel of it elsewhere has to prove that anew."""
    with centre.store.begin() as tx:
        rows.hold_card(tx, card)
        wanted = {"b_card": card, "b_box": here.box, "b_here": here.id, "b_now": now_s}
        if tx.execute(_CONTEST, wanted).first() is not None:
            end_all(tx, [here], "session-elsewhere", now_s)


def proven_by(session: Row[Any], n: int) -> bool:
    """Can renewal `n` only have been signed after the card had signed at another box?"""
    return session.contested_n is not None and n >= session.contested_n


def alarm(tx: Connection, session: Row[Any], now_s: int) -> None:
    """Two cards, one key. The session that contested was ended when it was refused."""
    other = tx.execute(_SESSION, {"b_id": session.contested_by}).one()
    tx.execute(_TWICE, {"b_card": session.card, "b_now": now_s})
    end_all(tx, [session], "card-twice", now_s)
    for one in sorted((session, other), key=lambda one: one.box):
        note(tx, now_s, "alarm", "card-twice", box=one.box, session=one.name, card=session.card)
        tell_over(tx, one, "card-twice", now_s)
    take(tx, "twice", session.card.hex())
