"""The yearly review of rights: who may enter what, and from where, by whose act, why, last used.

Reads only. What no act stands behind is flagged, and what was not said again for a year: rights of
access are named, justified and reviewed each year (HDS certification, activity 5).
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, literal, null, select

from sdbox_centre.tables import boxes, cards, grants, holders, projects, sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect
    from sqlalchemy.sql.selectable import CompoundSelect

    from sdbox_centre.store import Store

    Told = Callable[[Connection, bytes], "Act | None"]

YEAR_S: Final = 365 * 86400
_HEAD: Final = ("what", "name", "project", "since", "by", "why", "last use", "review")


@dataclass(frozen=True, slots=True)
class Act:
    """What a signed act says of itself."""

    by: str
    at_s: int
    why: str


@dataclass(frozen=True, slots=True)
class Right:
    """A grant; or that a holder, a box or a project is one of ours."""

    what: str  # grant | holder | box | project
    name: str  # of a grant: its holder's
    project: str | None  # of a grant
    act: Act | None
    last_use_s: int | None
    overdue: bool


def _last_use(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    with_card = sessions.join(cards, sessions.c.card == cards.c.auth_sha256)
    started = select(func.max(sessions.c.started_s)).select_from(with_card)
    return started.where(*conditions).scalar_subquery()


def _questions() -> CompoundSelect[Any]:
    """Each kind of right as (what, name, project, act, last_use_s)."""
    no_project = null()
    of_grant = _last_use(cards.c.holder == grants.c.holder, sessions.c.project == grants.c.project)
    of_holder = _last_use(cards.c.holder == holders.c.id)
    of_box = _last_use(sessions.c.box == boxes.c.name)
    of_project = _last_use(sessions.c.project == projects.c.id)
    asked = (
        ("grant", grants, grants.c.holder, grants.c.project, of_grant),
        ("holder", holders, holders.c.id, no_project, of_holder),
        ("box", boxes, boxes.c.name, no_project, of_box),
        ("project", projects, projects.c.id, no_project, of_project),
    )
    first, *others = (
        select(
            literal(what).label("what"),
            name.label("name"),
            project.label("project"),
            table.c.act,
            last.label("last_use_s"),
        )
        for what, table, name, project, last in asked
    )
    return first.union_all(*others).order_by("what", "name", "project")


_RIGHTS: Final = _questions()


def rights(tx: Connection, now_s: int, told: Told) -> list[Right]:
    """Every right there is, by kind and name. `told` reads the act of that id."""
    return [
        _right(row, now_s, told(tx, row.act) if row.act else None) for row in tx.execute(_RIGHTS)
    ]


def _right(row: Row[Any], now_s: int, act: Act | None) -> Right:
    overdue = act is None or act.at_s <= now_s - YEAR_S
    return Right(row.what, row.name, row.project, act, row.last_use_s, overdue)


def as_json(found: list[Right]) -> str:
    """A list of objects with the fields of `Right`."""
    return json.dumps([asdict(one) for one in found], indent=1)


def as_table(found: list[Right]) -> str:
    """For people; times are UTC."""
    lines = [_HEAD, *map(_line, found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _line(one: Right) -> tuple[str, ...]:
    act = one.act or Act("nobody", 0, "")
    since = _day(act.at_s) if one.act else ""
    used = "never" if one.last_use_s is None else _day(one.last_use_s)
    due = "overdue" if one.overdue else ""
    return (one.what, one.name, one.project or "", since, act.by, act.why, used, due)


def _day(at_s: int) -> str:
    return dt.datetime.fromtimestamp(at_s, dt.UTC).date().isoformat()


def command(store: Store, now_s: int, told: Told, *, json_wanted: bool) -> None:
    """Print the review."""
    with store.begin() as tx:
        found = rights(tx, now_s, told)
    sys.stdout.write((as_json if json_wanted else as_table)(found) + "\n")
