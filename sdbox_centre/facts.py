"""Rows made into the facts of an access decision: the one place where that is done.

A row alone says nothing: `proven` gives each back if a signed act made it what it is, and what it
does not give back is not there. Knows no rule of access: those stand in `access`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

from sqlalchemy import bindparam, select

from sdbox_agent.terms import Level
from sdbox_centre import access, places, rows
from sdbox_centre.tables import boxes, derogations, grants, projects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Row

    Kind = Literal["box", "card", "enrolment", "project", "grant", "derogation"]
    Proven = Callable[[Connection, Sequence[tuple[Kind, Row[Any] | None]]], list[Row[Any] | None]]

_BOX: Final = select(boxes).where(boxes.c.name == bindparam("b_box"))
_DEROGATION: Final = select(derogations).where(derogations.c.box == bindparam("b_box"))
_GRANTS: Final = select(grants).where(grants.c.holder == bindparam("b_holder"))
_PROJECTS: Final = (
    select(projects)
    .join(grants, grants.c.project == projects.c.id)
    .where(grants.c.holder == bindparam("b_holder"))
    .order_by(projects.c.id)
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a card showed, its certificates verified, and what the box can do."""

    auth: bytes
    key_management: bytes
    card_auth: bytes
    until_s: int  # the first of them ends
    match_bound: bool  # what 9A says of its PIN
    offered: frozenset[Level]

    @classmethod
    def of(cls, session: Row[Any]) -> Self:
        """As it was kept: its level was decided once, and no other is offered again."""
        level = Level(session.level)
        return cls(
            session.auth,
            session.key_management,
            session.card_auth,
            session.card_until_s or 0,  # a session of an earlier version ends
            level is Level.CARD_MATCH,
            frozenset({level}),
        )

    @property
    def card(self) -> bytes:
        """The card's name: SHA-256 of its 9A certificate."""
        return hashlib.sha256(self.auth).digest()


def gather(tx: Connection, session: Row[Any], shown: Shown, proven: Proven) -> access.Facts:
    """All that is known of a session: of one that begins, with what the proof brought."""
    card = _card_shown(tx, shown)
    of_holder = {"b_holder": None if card is None else card.holder}
    given = tx.execute(_GRANTS, of_holder).all()
    box = tx.execute(_BOX, {"b_box": session.box}).first()
    changed = box is not None and places.is_changed(tx, box)
    derogation = tx.execute(_DEROGATION, {"b_box": session.box}).first() if changed else None
    asked: list[tuple[Kind, Row[Any] | None]] = [
        ("box", box),
        ("derogation", derogation),
        ("card", card),
        ("enrolment", rows.enrolment(tx, shown.card)),
        *(("grant", row) for row in given),
        *(("project", row) for row in tx.execute(_PROJECTS, of_holder)),
    ]
    box, derogation, card, enrolment, *granted = proven(tx, asked)
    grants_, projects_ = granted[: len(given)], granted[len(given) :]
    begins = session.state == "hello"  # from then on an index keeps others out
    return access.Facts(
        box=None if box is None else _box(box, derogation, changed=changed),
        card=None if card is None else _card(card, session, shown),
        enrolment=None if enrolment is None else _enrolment(tx, enrolment),
        projects=() if card is None else _granted(grants_, projects_),
        match_bound=shown.match_bound,
        offered=shown.offered,
        elsewhere=begins and bool(rows.live_of_card(tx, shown.card)),
    )


def _card_shown(tx: Connection, shown: Shown) -> Row[Any] | None:
    """The row, if all three certificates are those it was issued with."""
    row = rows.card(tx, shown.card)
    if row is None:
        return None
    others = tuple(hashlib.sha256(der).digest() for der in (shown.key_management, shown.card_auth))
    return row if others == (row.key_management_sha256, row.card_auth_sha256) else None


def _card(row: Row[Any], session: Row[Any], shown: Shown) -> access.Card:
    in_hand = session.state in {"proved", "granted"} and session.attempts > 0
    return access.Card(
        revoked=row.revoked_s is not None,
        twice=row.twice_s is not None,
        until_s=shown.until_s,
        failures=row.failures - in_hand,
    )


def _box(row: Row[Any], derogation: Row[Any] | None, *, changed: bool) -> access.Box:
    return access.Box(
        name=row.name,
        state=row.state,
        placed=row.placed_s is not None,
        country=row.country,
        rental=_span(row.rental_from_s, row.rental_until_s),
        changed=changed,
        derogated_until_s=0 if derogation is None else derogation.until_s,
    )


def _enrolment(tx: Connection, row: Row[Any]) -> access.Enrolment:
    return access.Enrolment(
        kind=cast("access.Kind", row.kind),
        has_reference=row.reference is not None,
        has_code=row.kind == "no-finger" and rows.code(tx, row.id) is not None,
        not_before_s=row.not_before_s,
        not_after_s=row.not_after_s,
    )


def _granted(
    given: Sequence[Row[Any] | None], known: Sequence[Row[Any] | None]
) -> tuple[access.Project, ...]:
    grant_of = {grant.project: grant for grant in given if grant is not None}
    return tuple(
        _project(row, grant)
        for row in known
        if row is not None and (grant := grant_of.get(row.id)) is not None
    )


def _project(row: Row[Any], grant: Row[Any]) -> access.Project:
    return access.Project(
        id=row.id,
        label=row.label,
        levels=frozenset(row.levels.split()),
        state=row.state,
        contract=_span(row.contract_from_s, row.contract_until_s),
        legal_until_s=_or_forever(row.legal_until_s),
        countries=frozenset(row.countries.split()),
        boxes=None if row.boxes is None else frozenset(row.boxes.split()),
        holds=row.when_moved != "tell",
        undertaken=grant.undertaking_s is not None,
        grant_until_s=_or_forever(grant.not_after_s),
    )


def _span(from_s: int | None, until_s: int | None) -> access.Span:
    """Not between these dates, if one is not there: never."""
    return access.NEVER if from_s is None or until_s is None else access.Span(from_s, until_s)


def _or_forever(end_s: int | None) -> int:
    return access.FOREVER_S if end_s is None else end_s
