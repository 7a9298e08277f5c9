"""A project's list of members as its lead sends it: CSV (RFC 4180), read whole or not at all.

UTF-8, with or without the mark of it that spreadsheets write. Columns: holder (a pseudonym),
project, role (member or lead), undertaking (the day on which the holder signed the project's
undertaking, YYYY-MM-DD; empty: not yet). Grants nothing by itself.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from sdbox_agent.errors import DecodeError

Role = Literal["member", "lead"]

COLUMNS: Final = ["holder", "project", "role", "undertaking"]
MAX_BYTES: Final = 1024 * 1024
MAX_MEMBERS: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")  # as on the wire
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Member:
    """One line: this holder may enter this project, once the undertaking is signed."""

    holder: str
    project: str
    role: Role
    undertaking: dt.date | None


def parse(data: bytes, today: dt.date) -> tuple[Member, ...]:
    """Every line, in order. Raises DecodeError, with the line, for a list that is not in order.

    Nobody stands there twice for one project, and nobody has signed tomorrow.
    """
    if len(data) > MAX_BYTES:
        raise DecodeError("list of members: too long")
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise DecodeError("list of members: not CSV in UTF-8") from None
    if not lines or lines[0] != COLUMNS:
        raise DecodeError(f"list of members: line 1: not {','.join(COLUMNS)}")
    if len(lines) > MAX_MEMBERS + 1:
        raise DecodeError("list of members: too many lines")
    members = tuple(_member(number, line, today) for number, line in enumerate(lines[1:], 2))
    if len({(one.holder, one.project) for one in members}) != len(members):
        raise DecodeError("list of members: somebody stands there twice")
    return members


def _member(number: int, line: list[str], today: dt.date) -> Member:
    if len(line) != len(COLUMNS):
        raise DecodeError(f"list of members: line {number}: not {len(COLUMNS)} columns")
    holder, project, role, day = line
    if not _NAME.fullmatch(holder) or not _NAME.fullmatch(project):
        raise DecodeError(f"list of members: line {number}: not a name")
    if role not in {"member", "lead"}:
        raise DecodeError(f"list of members: line {number}: not a role")
    undertaking = _day(number, day) if day else None
    if undertaking is not None and undertaking > today:
        raise DecodeError(f"list of members: line {number}: a day to come")
    return Member(holder, project, cast("Role", role), undertaking)


def _day(number: int, text: str) -> dt.date:
    try:
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise DecodeError(f"list of members: line {number}: not a day")
