"""After a back-up was put back: what was taken away since is taken away again. Pure over a store.

What nobody kept outside the database stays lost, to be entered again by staff: cards, enrolments,
projects and grants that were added since. Attempts made good since, and what staff gave back, count
as taken: whoever is wronged by that is unlocked, or granted, again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, update

from sdbox_centre import access, memory
from sdbox_centre.store import note
from sdbox_centre.tables import boxes, cards, challenges, grants, projects, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection, Delete, Update

    from sdbox_centre.memory import Kind, Memory, Taken
    from sdbox_centre.store import Store


def accept(store: Store, now_s: int, motive: str, others: Iterable[Memory] = ()) -> list[str]:
    """Let the centre work on this database again; what it no longer knows of, for staff to read.

    `others` are what the API's processes on other machines remember. Every session has ended: none
    of them is as the boxes and the gateway left it.
    """
    with store.behind() as (tx, ours):
        known = memory.number(tx)
        lost = sorted([*ours, *(each for other in others for each in other.since(known))])
        gone = [f"{each.kind} {each.subject}" for each in lost if not _take_again(tx, each, now_s)]
        tx.execute(
            update(sessions)
            .where(sessions.c.state != "ended")
            .values(state="ended", code="session-closed")
        )
        tx.execute(delete(challenges).where(challenges.c.used.is_(None)))
        memory.catch_up(tx, max([known, *(each.n for each in lost)]))
        note(tx, now_s, "restore-accept", motive=motive)
    return gone


def _take_again(tx: Connection, lost: Taken, now_s: int) -> bool:
    return tx.execute(_AGAIN[lost.kind](lost, now_s)).rowcount > 0


def _attempts(lost: Taken, now_s: int) -> Update:
    card = update(cards).where(cards.c.auth_sha256 == bytes.fromhex(lost.subject))
    return card.values(failures=lost.value, not_before_s=now_s + access.delay_s(lost.value))


def _card(lost: Taken, now_s: int) -> Update:
    card = update(cards).where(cards.c.auth_sha256 == bytes.fromhex(lost.subject))
    return card.values(revoked_s=now_s)


def _twice(lost: Taken, now_s: int) -> Update:
    card = update(cards).where(cards.c.auth_sha256 == bytes.fromhex(lost.subject))
    return card.values(twice_s=now_s)


def _grant(lost: Taken, _now_s: int) -> Delete:
    holder, _, project = lost.subject.partition("/")
    return delete(grants).where(grants.c.holder == holder, grants.c.project == project)


def _project(lost: Taken, _now_s: int) -> Update:
    return update(projects).where(projects.c.id == lost.subject).values(state="closed")


def _box(lost: Taken, _now_s: int) -> Update:
    return update(boxes).where(boxes.c.name == lost.subject).values(state="suspended")


_AGAIN: Final[dict[Kind, Callable[[Taken, int], Update | Delete]]] = {
    "attempts": _attempts,
    "card": _card,
    "twice": _twice,
    "grant": _grant,
    "project": _project,
    "box": _box,
}
