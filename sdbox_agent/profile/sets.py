"""Sets of profiles that reach a box after its program: taken whole, or not at all [door].

A set is a directory as `firmware_profiles` is one, with `VERSION`, which numbers it. It is copied
beside the installed one and read there, every file of it; only then do the two change places, in
one step of the kernel's (renameat2, RENAME_EXCHANGE). So at any moment, a power cut's too, the
installed set is a whole one that was checked, and the one before it is kept to go back to.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
from typing import TYPE_CHECKING, Final

from sdbox_agent.profile import schema
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE: Final = "VERSION"
MAX_FILES: Final = 256
_VERSION: Final = re.compile(rb"([1-9][0-9]{0,5})\n?")
_AT_FDCWD: Final = -100  # linux/fcntl.h
_EXCHANGE: Final = 2  # linux/fs.h, RENAME_EXCHANGE
_PARSERS: Final[dict[str, Callable[[bytes], schema.Profile | schema.Kind | schema.Sensor]]] = {
    ".": schema.parse_profile,
    "cards": schema.parse_kind,
    "sensors": schema.parse_sensor,
}


def version(directory: Path) -> int:
    """Of the set there; 0 if there is none, or if it does not say. Raises nothing."""
    try:
        match = _VERSION.fullmatch(trusted.read(directory / FILE))
    except (OSError, FileRefused):
        return 0
    return int(match[1]) if match else 0


def newest_first(installed: Path, shipped: Path) -> tuple[Path, ...]:
    """Both sets in the order in which they count; at the same version, the program's own."""
    return (installed, shipped) if version(installed) > version(shipped) else (shipped, installed)


def check(directory: Path) -> int:
    """The version of a set whose every file holds, names itself, and finds what it names.

    Raises FileRefused("profile-invalid") with the file at fault.
    """
    found = version(directory)
    if not found:
        reason = "not there, or no number from 1 to 999999; it numbers a set"
        raise FileRefused("profile-invalid", str(directory / FILE), 1, reason)
    paths = tuple(_files(directory))
    known = {str(path.relative_to(directory)) for path in paths}
    for path in paths:
        parse = _PARSERS[str(path.relative_to(directory).parent)]
        try:
            value = parse(_read(path))
        except TomlRefused as error:
            raise FileRefused("profile-invalid", str(path), error.line, error.reason) from None
        _agrees(path, value, known)
    return found


def install(new: Path, installed: Path, shipped: Path, fits: Callable[[Path], None]) -> int:
    """Take the set in `new`; its version. What was installed stays beside it as `.last`.

    `fits` raises if this box could not run with the directory it is given as the installed set.
    Raises FileRefused("profile-invalid"), OSError; then nothing has changed.
    """
    coming = _beside(installed, "new")
    with _alone(installed):
        held = max(version(installed), version(shipped))
        shutil.rmtree(coming, ignore_errors=True)
        try:
            _copy(new, coming)
            number = check(coming)
            _is_newer(new, number, held)
            fits(coming)
            _swap(coming, installed)
        except FileRefused as error:  # by the name that the operator gave
            file = error.file.replace(str(coming), str(new))
            raise FileRefused(error.code, file, error.line, error.reason) from None
        finally:
            shutil.rmtree(coming, ignore_errors=True)  # it is there only if it was not taken
    return number


def revert(installed: Path, fits: Callable[[Path], None]) -> int:
    """Go back to the set before, whose version this is; 0: to none but the program's own.

    `fits` as in `install`. Raises FileRefused, OSError; then nothing has changed.
    """
    last = _beside(installed, "last")
    with _alone(installed):
        if not last.exists() and not installed.exists():
            reason = "no set was installed: there is none before it"
            raise FileRefused("profile-invalid", str(installed), 0, reason)
        number = check(last) if last.exists() else 0
        fits(last)
        _change_places(last, installed)
        _sync(installed.parent)
    return number


@contextlib.contextmanager
def _alone(installed: Path) -> Iterator[None]:
    """Of two at a time, one would take what the other is still writing. Raises FileRefused."""
    descriptor = os.open(installed.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reason = "another is being installed at this moment"
            raise FileRefused("profile-invalid", str(installed), 0, reason) from None
        yield
    finally:
        os.close(descriptor)


def _is_newer(new: Path, number: int, held: int) -> None:
    if number <= held:
        reason = f"not above {held}, which this box has; take a newer set"
        raise FileRefused("profile-invalid", str(new / FILE), 1, reason)


def _swap(coming: Path, installed: Path) -> None:
    """`coming` becomes `installed`, and what that was, `.last`. What is installed is never away."""
    last = _beside(installed, "last")
    _change_places(coming, last)  # there it waits; what was the set before is in its place
    try:
        _change_places(last, installed)
    except OSError:
        _change_places(coming, last)
        raise
    _sync(installed.parent)


def _beside(installed: Path, what: str) -> Path:
    return installed.with_name(f"{installed.name}.{what}")


def _files(directory: Path) -> Iterator[Path]:
    inside = (directory, directory / "cards", directory / "sensors")
    found = sorted(path for folder in inside for path in folder.glob("*.toml"))
    if len(found) > MAX_FILES:
        reason = f"more than {MAX_FILES} files"
        raise FileRefused("profile-invalid", str(directory), 0, reason)
    yield from found


def _read(path: Path) -> bytes:
    try:
        return trusted.read(path)
    except FileRefused as error:
        raise FileRefused("profile-invalid", error.file, 0, error.reason) from None
    except OSError:
        raise FileRefused("profile-invalid", str(path), 0, "can't be read") from None


def _agrees(
    path: Path, value: schema.Profile | schema.Kind | schema.Sensor, known: set[str]
) -> None:
    """Raises FileRefused unless a file names itself, and a profile what is in the set."""
    if value.name != path.stem:
        raise FileRefused("profile-invalid", str(path), 0, "name: not the file's name")
    if not isinstance(value, schema.Profile):
        return
    wanted = {f"sensors/{value.sensor}.toml", *(f"cards/{name}.toml" for name in value.card.kinds)}
    for missing in sorted(wanted - known):
        raise FileRefused("profile-invalid", str(path), 0, f"it names {missing}; put it in the set")


def _copy(new: Path, coming: Path) -> None:
    """Every byte on the disk before its name counts."""
    for folder in (coming, coming / "cards", coming / "sensors"):
        folder.mkdir()
        folder.chmod(0o755)
    for path in (new / FILE, *_files(new)):
        there = coming / path.relative_to(new)
        there.write_bytes(_read(path))
        there.chmod(0o644)
        _sync(there)
    for folder in (coming / "cards", coming / "sensors", coming, coming.parent):
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _change_places(one: Path, other: Path) -> None:
    """In one step, whichever of them is there. Raises OSError."""
    if one.exists() and other.exists():
        _exchange(one, other)
    elif one.exists():
        one.rename(other)
    else:
        other.rename(one)


def _exchange(one: Path, other: Path) -> None:
    """Both change places, in one step. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))
