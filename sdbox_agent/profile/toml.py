"""TOML into a closed type, or one error with its line.

The standard library's parser says where its syntax errors are; what it has parsed no longer knows
its lines. So a second, simple reading of the text says on which line each key stands. Pure.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from sdbox_agent.profile import words

MAX_BYTES: Final = 64 * 1024
# tomllib keeps the square of a dotted key's length: of 32,000 parts, 4 GB. Nothing here has five.
MAX_DOTS: Final = 128  # in a line, those in its values too

T = TypeVar("T", bound=Struct)
_WHERE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*|key[^`]*)`)?$", re.DOTALL)
_FIELD: Final = re.compile(r"(?:unknown|missing required) field `(?P<name>[^`]*)`")
_QUOTED: Final = re.compile(r"'[^']*'")
_SYNTAX: Final = re.compile(
    r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$"
)
_TABLE: Final = re.compile(r"^\s*\[{1,2}\s*(?P<name>[^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY: Final = re.compile(
    r"""^\s*(?P<name>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)


class TomlRefused(ValueError):  # noqa: N818  as errors.Refused
    """The line (from 1) and the reason, which quotes no value."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def parse(data: bytes, kind: type[T]) -> T:
    """Read `data` as `kind`. Raises TomlRefused."""
    table, text = read(data)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        keys, reason = explain(str(error), kind)
        raise TomlRefused(line_of(text, keys), reason) from None


def read(data: bytes) -> tuple[dict[str, object], str]:
    """The table and the text of it. Raises TomlRefused."""
    if len(data) > MAX_BYTES:
        raise TomlRefused(1, "too large")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TomlRefused(data[: error.start].count(b"\n") + 1, "not UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_DOTS:
            raise TomlRefused(number, f"more than {MAX_DOTS} dots; write it on several lines")
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise _syntax(str(error), text.count("\n") + 1) from None
    except (RecursionError, ValueError, OverflowError):  # nested too deep; an impossible date
        raise TomlRefused(1, "not TOML") from None


def _syntax(message: str, last_line: int) -> TomlRefused:
    match = _SYNTAX.match(message)
    line = int(match["line"]) if match and match["line"] else last_line
    what = match["what"] if match else "not TOML"
    return TomlRefused(line, _QUOTED.sub("a value", what.split(":")[0]))


def explain(message: str, kind: type[Struct]) -> tuple[tuple[str, ...], str]:
    """What msgspec says of a table that is no `kind`: where, and why with what may stand there."""
    match = _WHERE.match(message)
    what, path = (match["what"], match["path"] or "$") if match else (message, "$")
    keys = tuple(re.findall(r"\.([A-Za-z0-9_-]+)", path))
    named = _FIELD.search(what)
    remedy = words.remedy(kind, keys)
    if named and "unknown" in what:
        keys = (*keys, named["name"])
        what = "unknown key"
    elif named:
        remedy = words.remedy(kind, (*keys, named["name"]))
        what = f"key missing: {named['name']}"
    name = ".".join(keys)
    reason = _QUOTED.sub("this value", what.replace("Object", "table").replace("`", ""))
    reason = f"{name}: {reason}" if name else reason
    return keys, f"{reason}; {remedy}" if remedy else reason


def line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line (from 1) of the key at that path, or of the nearest table above it; 1 at worst."""
    best, line = 0, 1
    table: tuple[str, ...] = ()
    for number, content in enumerate(text.splitlines(), 1):
        header, key = _TABLE.match(content), _KEY.match(content)
        if header:
            table = _split(header["name"])
            found = table
        elif key:
            found = table + _split(key["name"])
        else:
            continue
        common = len(found) if found == keys[: len(found)] else 0
        if common > best:
            best, line = common, number
    return line


def _split(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))
