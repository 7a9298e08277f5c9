"""What a closed type lets in, in words: for the remedy of an error, and for docs/profiles.md.

Read off the type itself, so that neither can say anything else. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import NODEFAULT, Struct, inspect

from sdbox_agent.profile import hardware

if TYPE_CHECKING:
    from collections.abc import Iterator

    Named = tuple[str, inspect.Field, inspect.Type]

# What a pattern asks for, where the pattern itself is no help to whoever edits a file.
PATTERNS: Final[dict[str, str]] = {
    r"^[a-z0-9][a-z0-9.-]{0,63}\Z": "a name: small letters, digits, dots, dashes, at most 64",
    r"^[a-z0-9][a-z0-9-]{0,39}\Z": "a name: small letters, digits, dashes, at most 40",
    r"^[0-9a-f]{4}:[0-9a-f]{4}\Z": 'a USB id as lsusb shows it, "vvvv:pppp" in small letters',
    hardware.ONE_LINE: "a text of one line",
    r"^[a-z0-9_]{1,40}\Z": "the id of a driver of libfprint",
    r"^[a-z0-9][a-z0-9.+_-]*,[a-z0-9][a-z0-9.+_-]*\Z": 'maker and model, "maker,model"',
    r"^([0-9A-F]{2}){5,16}\Z": "5 to 16 bytes in capital hex",
    r"^([0-9A-F]{2}){0,33}\Z": "up to 33 bytes in capital hex",
    r"^(/[A-Za-z0-9._+-]+)*\Z": "an absolute path",
    r"^[\x21-\x7e]*\Z": "printable ASCII without spaces",
}


class Row(NamedTuple):
    """One key of a file."""

    keys: tuple[str, ...]
    allowed: str
    default: str  # as TOML writes it; "required", or "not known" for one that may be left out


def rows(kind: type[Struct], above: tuple[str, ...] = ()) -> Iterator[Row]:
    """Every key of `kind` that holds a value, tables opened, in the order of the type."""
    for name, field, inner in _fields(kind):
        if isinstance(inner, inspect.StructType):
            yield from rows(inner.cls, (*above, name))
        else:
            yield Row((*above, name), _allowed(inner), _default(field))


def remedy(kind: type[Struct], keys: tuple[str, ...]) -> str:
    """What may stand at `keys`, as advice; "" where the type says nothing of them."""
    inner: inspect.Type = inspect.type_info(kind)
    for key in keys:
        inside = _struct(inner)
        found = {name: value for name, _, value in _fields(inside)} if inside else {}
        if key not in found:
            return ""
        inner = found[key]
    inside = _struct(inner)
    if inside is None:
        return f"write {_allowed(inner)}"
    return "known here: " + ", ".join(name for name, _, _ in _fields(inside))


def _struct(kind: inspect.Type) -> type[Struct] | None:
    if isinstance(kind, inspect.VarTupleType):
        kind = kind.item_type
    return kind.cls if isinstance(kind, inspect.StructType) else None


def _fields(kind: type[Struct]) -> Iterator[Named]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        inner = field.type
        if isinstance(inner, inspect.UnionType):  # `… | None`: a key that may be left out
            (inner,) = (part for part in inner.types if not isinstance(part, inspect.NoneType))
        yield field.encode_name, field, inner


def _default(field: inspect.Field) -> str:
    value = field.default
    if value is NODEFAULT:
        return "required"
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return str(value).lower()
    return "[]" if value == () else f'"{value}"' if isinstance(value, str) else str(value)


def _allowed(kind: inspect.Type) -> str:
    said = type(kind).__name__.removesuffix("Type").lower()
    match kind:
        case inspect.VarTupleType():
            said = f"a list of {kind.min_length or 0} to {kind.max_length}"
            said = f"{said}: {_allowed(kind.item_type)}"
        case inspect.LiteralType():
            said = " or ".join(_quoted(value) for value in kind.values)
        case inspect.EnumType():
            said = " or ".join(_quoted(member.value) for member in kind.cls)
        case inspect.StrType():
            said = _text(kind)
        case inspect.IntType() | inspect.FloatType():
            what = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            said = what if kind.ge is None else f"{what} from {kind.ge} to {kind.le}"
        case inspect.BoolType():
            said = "true or false"
        case inspect.StructType():
            said = "a table of " + ", ".join(name for name, _, _ in _fields(kind.cls))
        case _:
            pass
    return said


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _text(kind: inspect.StrType) -> str:
    what = PATTERNS.get(kind.pattern or "", "a text")
    return f"{what}, at most {kind.max_length}" if kind.max_length else what
