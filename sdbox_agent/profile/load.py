"""Profiles and box.toml from disk: who may have written them, then what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from sdbox_agent.profile import schema
from sdbox_agent.profile.schema import Kind, Profile, Sensor
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sdbox_agent.cardkind import CardKind
    from sdbox_agent.profile.schema import Box

T = TypeVar("T")
N = TypeVar("N", Profile, Kind, Sensor)

BOX_FILE: Final = "box.toml"


def load_box(config: Path) -> Box:
    """The settings in directory `config`. Raises FileRefused("config-invalid")."""
    return _load(config / BOX_FILE, "config-invalid", schema.parse_box)


def load_profile(name: str, directories: Sequence[Path]) -> Profile:
    """Profile `name` from the first directory that has it: `NAME.toml`, which must name itself so.

    Raises FileRefused("profile-invalid").
    """
    return _named(name, directories, schema.parse_profile)


def load_kinds(profile: Profile, directories: Sequence[Path]) -> tuple[CardKind, ...]:
    """The kinds of card that the profile names, from `cards/` in those directories.

    Raises FileRefused("profile-invalid").
    """
    inside = [directory / "cards" for directory in directories]
    return tuple(_named(name, inside, schema.parse_kind).kind for name in profile.card.kinds)


def load_sensor(profile: Profile, directories: Sequence[Path]) -> Sensor:
    """The sensor that the profile names, from `sensors/` in those directories.

    Raises FileRefused("profile-invalid"), also where its resolution is not known.
    """
    inside = [directory / "sensors" for directory in directories]
    sensor = _named(profile.sensor, inside, schema.parse_sensor)
    if sensor.ppmm is None:
        reason = "ppmm: not known: no box can use this sensor"
        raise FileRefused("profile-invalid", f"{sensor.name}.toml", 0, reason)
    return sensor


def check(path: Path, directories: Sequence[Path]) -> Profile | Kind | Sensor:
    """What an operator wrote: a profile, and all it names; in `cards/` or `sensors/`, one of them.

    `directories`: where things lie that are not beside it. Raises FileRefused("profile-invalid").
    """
    here = path.absolute().parent
    if here.name == "cards":
        return _named(path.stem, (here,), schema.parse_kind)
    if here.name == "sensors":
        return _named(path.stem, (here,), schema.parse_sensor)
    profile = load_profile(path.stem, (here,))
    load_kinds(profile, (here, *directories))
    load_sensor(profile, (here, *directories))
    return profile


def _named(name: str, directories: Sequence[Path], parse: Callable[[bytes], N]) -> N:
    for directory in directories:
        path = directory / f"{name}.toml"
        if path.is_symlink() or path.exists():
            found = _load(path, "profile-invalid", parse)
            if found.name != name:
                raise FileRefused("profile-invalid", str(path), 0, "name: not the file's name")
            return found
    raise FileRefused("profile-invalid", f"{name}.toml", 0, "no such profile")


def _load(path: Path, code: str, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(trusted.read(path))
    except TomlRefused as error:
        raise FileRefused(code, str(path), error.line, error.reason) from None
    except FileRefused as error:
        raise FileRefused(code, error.file, error.line, error.reason) from None
    except OSError:
        raise FileRefused(code, str(path), 0, "can't be read") from None
