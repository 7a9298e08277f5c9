"""What is in the store, for people and for programs: plain values, and tables of them. Pure."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from sdbox_agent.centre import wire
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sdbox_centre.staff.payload import Act

Plain = dict[str, Any]

# By list, what a person reads; a program gets all that is plain.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "holder": ("id", "signed"),
    "card": ("auth_sha256", "holder", "revoked_s", "failures", "unlocks", "signed"),
    "enrolment": ("id", "card", "kind", "not_before_s", "not_after_s", "signed"),
    "project": ("id", "label", "levels", "state", "contract_until_s", "countries", "signed"),
    "grant": ("holder", "project", "role", "undertaking_s", "not_after_s", "signed"),
    "box": ("name", "state", "place", "country", "rental_until_s", "signed"),
    "derogation": ("box", "until_s", "signed"),
    "place": ("name", "state", "placed_s", "moved_s", "said_moved_s", "said_altered_s", "until_s"),
    "health": (
        *("name", "state", "heard_s", "doing", "tunnel", "readers", "sensor"),
        *("audit_percent", "agent_version", "standing"),
    ),
    "report": ("name", "at_s", "profile", "machine", "tpm", "agent_version", "keys", "network"),
    "session": ("box", "name", "state", "card", "level", "project", "started_s"),
    "pending": ("id", "kind", "subject", "by", "at_s", "motive"),
    "act": ("seq", "at_s", "kind", "subject", "n", "by", "motive"),
}
_NOT_SHOWN: Final = frozenset({"reference", "statement_certificate", "auth", "key_management"})
_SHORT: Final = 16  # characters of a digest


def plain(values: Mapping[str, Any]) -> Plain:
    """Digests as hex, without what is too long to read."""
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in values.items()
        if name not in _NOT_SHOWN
    }


def plain_act(act: Act) -> Plain:
    """What it says."""
    fields = ((name, getattr(act, name)) for name in act.__struct_fields__)
    said = {name: value for name, value in fields if value is not UNSET}
    return {"kind": act.__struct_config__.tag, "subject": act.subject, **plain(said)}


def plain_health(name: str, state: str, heard_s: int | None, body: bytes | None) -> Plain:
    """A box, and what it last said of itself: nothing if it never did, or in another version."""
    told: Plain = {"name": name, "state": state, "heard_s": heard_s}
    try:
        said = wire.decode(body or b"", wire.HealthRequest)
    except DecodeError:
        return told
    words = (
        *("tunnel", "readers", "sensor", "audit_percent", "agent_version", "utc_s"),
        "standing",
    )
    return {**told, "doing": said.state, **{word: getattr(said, word) for word in words}}


def as_json(value: object) -> str:
    """For programs: one line."""
    return json.dumps(value, separators=(",", ":"))


def as_table(kind: str, rows: Iterable[Plain]) -> str:
    """For people: one line each, under the names of what stands there."""
    names = COLUMNS[kind]
    heads = [name.removesuffix("_s").replace("_", " ") for name in names]
    lines = [heads, *([_cell(name, row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if name.endswith("_s") and isinstance(value, int):
        return f"{dt.datetime.fromtimestamp(value, dt.UTC):%Y-%m-%d %H:%M}"
    text = " ".join(value) or "-" if isinstance(value, tuple) else str(value)
    text = "".join(char if char.isprintable() else "?" for char in text)  # boxes wrote some of it
    is_digest = name in {"auth_sha256", "card"} and len(text) > _SHORT
    return text[:_SHORT] if is_digest else text
