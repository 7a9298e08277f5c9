"""Profiles and box.toml from disk: who may have written them, then what they say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sdbox_agent import screen
from sdbox_agent.profile import field, layers, schema, sets
from sdbox_agent.profile.layers import Layer, Layered, LayerRefused
from sdbox_agent.profile.schema import Kind, Profile, Sensor
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdbox_agent.cardkind import CardKind
    from sdbox_agent.paths import Paths
    from sdbox_agent.profile.schema import Box

T = TypeVar("T")
N = TypeVar("N", Profile, Kind, Sensor)

BOX_FILE: Final = "box.toml"
MAX_DROP_INS: Final = 64


@dataclass(frozen=True, slots=True)
class Whole:
    """A box's profile with all it names, and where each value is from."""

    layered: Layered
    kinds: tuple[CardKind, ...]
    sensor: Sensor

    @property
    def profile(self) -> Profile:
        """What the box goes by."""
        return self.layered.profile


def shelves(paths: Paths, shipped: Path, installed: Path | None = None) -> tuple[Path, ...]:
    """Where profiles, kinds and sensors are looked for: the first that has one counts.

    The operator's own; then the set that was installed (or `installed`, before it is) and the one
    that came with the program, the newer first.
    """
    both = sets.newest_first(installed or paths.profile_set, shipped)
    return (paths.config / "profiles", *both)


def drop_ins(paths: Paths) -> tuple[Path, ...]:
    """What this box lays over its profile, in the order of the names. Raises FileRefused."""
    directory = paths.config / "profile.d"
    try:
        found = sorted(path for path in directory.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        return ()
    except OSError:
        raise FileRefused("profile-invalid", str(directory), 0, "can't be read") from None
    if len(found) > MAX_DROP_INS:
        reason = f"more than {MAX_DROP_INS} files; put them together"
        raise FileRefused("profile-invalid", str(directory), 0, reason)
    return tuple(found)


def is_rig(paths: Paths) -> bool:
    """Whether virtual parts may stand in for real ones: a root of its own, or its mark in a root.

    A box's root is `/`, and no package brings the mark. Raises FileRefused for a mark that others
    may have put there.
    """
    if paths.root.resolve() != Path("/"):
        return True
    return is_marked(paths.rig_mark)


def is_marked(mark: Path) -> bool:
    """Whether the mark is there. Raises FileRefused unless it is root's or ours alone."""
    try:
        trusted.read(mark)
    except FileNotFoundError:
        return False
    except FileRefused as error:
        raise FileRefused("profile-invalid", error.file, 0, error.reason) from None
    return True


def whole(
    name: str,
    paths: Paths,
    shipped: Path,
    *,
    rig: bool | None = None,
    installed: Path | None = None,
) -> Whole:
    """Profile `name` as this box has it: drop-ins laid over, all it names read, fit for the field.

    `rig`: else what `is_rig` says; `installed`: as in `shelves`. Raises
    FileRefused("profile-invalid").
    """
    directories = shelves(paths, shipped, installed)
    layered = _layered(name, directories, drop_ins(paths))
    profile = layered.profile
    found = Whole(layered, load_kinds(profile, directories), load_sensor(profile, directories))
    allowed = is_rig(paths) if rig is None else rig
    for keys, why in () if allowed else field.objections(profile, found.sensor):
        origin = layered.origin(keys)
        reason = f"{'.'.join(keys)}: {screen.words('profile', why, 'en')}"
        raise FileRefused("profile-invalid", origin.file, origin.line, reason)
    return found


def load_box(config: Path) -> Box:
    """The settings in directory `config`. Raises FileRefused("config-invalid")."""
    return _load(config / BOX_FILE, "config-invalid", schema.parse_box)


def load_profile(name: str, directories: Sequence[Path]) -> Profile:
    """Profile `name` from the first directory that has it: `NAME.toml`, which must name itself so.

    As released: `whole` lays over it what this box has. Raises FileRefused("profile-invalid").
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
    sensor = find_sensor(profile, directories)
    if sensor.ppmm is None:
        reason = "ppmm: not known: no box can use this sensor; measure it and write it there"
        raise FileRefused("profile-invalid", f"{sensor.name}.toml", 0, reason)
    return sensor


def check(path: Path, directories: Sequence[Path]) -> Profile | Kind | Sensor:
    """What an operator wrote: a profile, and all it names; in `cards/` or `sensors/`, one of them.

    `directories`: where things lie that are not beside it. Raises FileRefused("profile-invalid").
    """
    here = path.absolute().parent
    if path.suffix != ".toml":
        raise FileRefused("profile-invalid", str(path), 0, "no profile: its name ends in .toml")
    if here.name == "profile.d":
        reason = "a piece of a profile: `profile check` without a file reads it with the rest"
        raise FileRefused("profile-invalid", str(path), 0, reason)
    if here.name == "cards":
        return _named(path.stem, (here,), schema.parse_kind)
    if here.name == "sensors":
        return _named(path.stem, (here,), schema.parse_sensor)
    profile = load_profile(path.stem, (here,))
    load_kinds(profile, (here, *directories))
    load_sensor(profile, (here, *directories))
    return profile


def find_sensor(profile: Profile, directories: Sequence[Path]) -> Sensor:
    """As `load_sensor`, and one whose resolution is not known too: to be shown, not to be used."""
    inside = [directory / "sensors" for directory in directories]
    return _named(profile.sensor, inside, schema.parse_sensor)


def names(directories: Sequence[Path]) -> tuple[str, ...]:
    """Every profile there is, by name."""
    found = {path.stem for directory in directories for path in directory.glob("*.toml")}
    return tuple(sorted(found))


def _layered(name: str, directories: Sequence[Path], over: Sequence[Path]) -> Layered:
    load_profile(name, directories)  # it must hold, and name itself so, with nothing laid over it
    base = next(path for d in directories if os.path.lexists(path := d / f"{name}.toml"))
    files = [Layer(str(path), _load(path, "profile-invalid", bytes)) for path in (base, *over)]
    try:
        return layers.parse(files)
    except LayerRefused as error:
        raise FileRefused("profile-invalid", error.file, error.line, error.reason) from None


def _named(name: str, directories: Sequence[Path], parse: Callable[[bytes], N]) -> N:
    for directory in directories:
        path = directory / f"{name}.toml"
        if os.path.lexists(path):
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
    except FileNotFoundError:
        raise FileRefused(code, str(path), 0, "not there") from None
    except OSError:
        raise FileRefused(code, str(path), 0, "can't be read") from None
