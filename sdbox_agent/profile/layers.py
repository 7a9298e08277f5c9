"""A base profile and what was laid over it, as one profile whose every value says where it is from.

A drop-in is a piece of a profile: a table is merged key by key, any other value replaces the one
below it, a list as a whole. What comes out is held to the same type as a profile of one file, and
an error names the file and line that it comes from. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

import msgspec
from typing_extensions import override

from sdbox_agent.profile import schema, toml
from sdbox_agent.profile.schema import Profile
from sdbox_agent.profile.toml import TomlRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Keys = tuple[str, ...]
    Table = dict[str, object]

DEFAULT: Final = "default"
_BASES_OWN: Final = ("name", "revision")  # of the profile that was released, not of this box


class Layer(NamedTuple):
    """A file, by the name an operator knows it by."""

    file: str
    data: bytes


class Origin(NamedTuple):
    """Where a value is from; line 0: it stands in no file, and is the type's default."""

    file: str
    line: int

    @override
    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class LayerRefused(TomlRefused):
    """As TomlRefused, of one of several files."""

    def __init__(self, origin: Origin, reason: str) -> None:
        super().__init__(origin.line, reason)
        self.file = origin.file


@dataclass(frozen=True, slots=True)
class Layered:
    """A profile, and where each of its values is from."""

    profile: Profile
    origins: Mapping[Keys, Origin]

    def origin(self, keys: Keys) -> Origin:
        """Of that value, or of the nearest above or below it."""
        for size in range(len(keys), 0, -1):
            for found, origin in self.origins.items():
                if found[:size] == keys[:size]:
                    return origin
        return Origin(DEFAULT, 0)


class _Read(NamedTuple):
    file: str
    table: Table
    text: str


def parse(layers: Sequence[Layer]) -> Layered:
    """The first is the base. Raises LayerRefused."""
    read = [_read(layer) for layer in layers]
    for layer in read[1:]:
        for key in _BASES_OWN:
            if key in layer.table:
                line = toml.line_of(layer.text, (key,))
                reason = f"{key}: only the base profile has one; strike it here"
                raise LayerRefused(Origin(layer.file, line), reason)
    merged: Table = {}
    for layer in read:
        merged = _merge(merged, layer.table)
    try:
        profile = msgspec.convert(merged, Profile)
    except msgspec.ValidationError as error:
        keys, reason = toml.explain(str(error), Profile)
        raise LayerRefused(_blame(read, keys), reason) from None
    for keys, reason in schema.contradictions(profile):
        raise LayerRefused(_blame(read, keys), f"{'.'.join(keys)}: {reason}")
    return Layered(profile, {keys: _blame(read, keys) for keys in _leaves(merged)})


def _read(layer: Layer) -> _Read:
    try:
        table, text = toml.read(layer.data)
    except TomlRefused as error:
        raise LayerRefused(Origin(layer.file, error.line), error.reason) from None
    return _Read(layer.file, table, text)


def _is_table(value: object) -> TypeGuard[Table]:
    return isinstance(value, dict)


def _merge(below: Table, above: Table) -> Table:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merge(under, value) if _is_table(under) and _is_table(value) else value
    return merged


def _leaves(table: Table, above: Keys = ()) -> Iterator[Keys]:
    for key, value in table.items():
        if _is_table(value):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _blame(layers: Sequence[_Read], keys: Keys) -> Origin:
    """The last file that says something there, else of the nearest table above."""
    for size in range(len(keys), 0, -1):
        named = [layer for layer in layers if _has(layer.table, keys[:size])]
        if named:
            return Origin(named[-1].file, toml.line_of(named[-1].text, keys))
    return Origin(layers[0].file, 1)


def _has(table: object, keys: Keys) -> bool:
    for key in keys:
        if not _is_table(table) or key not in table:
            return False
        table = table[key]
    return True
