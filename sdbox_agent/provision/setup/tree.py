"""What setup asks of a disk: directories with an owner, files whole or not there [door].

A port, so that every place where the power may fail can be played (tests/provision/setup/disk.py).
Each directory is a `FileSystem` of the state's kind; what is put there is written beside, synced,
named and synced again. The real one works as root in directories that belong to others: it follows
no symlink, and creates files anew with the owner and mode they are to have before they are named.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override

from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sdbox_agent.state.filesystem import FileSystem

MAX_BYTES: Final = 1024 * 1024
NEW: Final = ".new"
_FOREIGN_WRITE: Final = 0o022
# A directory that is none, a symlink, a socket; and the file system's own for what is no file.
_NO_FILE: Final = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENXIO, None})
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of ours: where (under the root), whose, with which modes."""

    path: str
    owner: int = 0  # uid and gid
    mode: int = 0o755
    file_mode: int = 0o644
    ours: bool = True  # else the system's: made if it is not there, and left as it is


class Tree(Protocol):
    """Every directory there is. Raises OSError, FileRefused."""

    def make(self, place: Place) -> None:
        """Have the directory there, as it should be, durably; the ones above it are root's."""

    def within(self, place: Place) -> AbstractContextManager[FileSystem]:
        """The files of it. Raises FileNotFoundError, FileRefused for a directory of another's."""

    def remove(self, place: Place, name: str) -> None:
        """Have no file `name` there, durably."""

    def empty(self, path: str, last: str = "") -> None:
        """Have nothing there and below, durably; the directory stays. No link is followed.

        The file `last` in it goes when all else has gone.
        """

    def is_empty(self, path: str) -> bool:
        """Is nothing there, or no such directory?"""


def read(tree: Tree, place: Place, name: str) -> bytes | None:
    """The file, or None where there is none. Raises FileRefused for what is no file, OSError."""
    try:
        with tree.within(place) as files:
            return files.read(name, MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        reason = "it, or a directory above it, is a symlink or something else: remove that"
        raise FileRefused("file-exposed", f"/{place.path}/{name}", 0, reason) from None


def put(tree: Tree, place: Place, name: str, data: bytes) -> None:
    """Have exactly these bytes under that name: before a cut, or after it, whole."""
    tree.make(place)
    with tree.within(place) as files:
        files.write(name + NEW, data)
        files.sync(name + NEW)
        files.rename(name + NEW, name)
        files.sync_directory()


class Owned(RealFileSystem):
    """A directory that may be another's than ours, whose files get its owner."""

    def __init__(self, directory: Path, place: Place) -> None:
        """Raises FileRefused for a directory of somebody else's; FileNotFoundError.

        One that we made and were cut before we gave it away is not somebody else's.
        """
        self._directory = os.open(directory, _DIRECTORY)
        self._kept = {}
        self._place = place
        status = os.fstat(self._directory)
        owners = {place.owner, os.geteuid()}
        if status.st_uid not in owners or stat.S_IMODE(status.st_mode) & _FOREIGN_WRITE:
            self.close()
            reason = f"belongs to another than uid {place.owner}, or others may write there"
            raise FileRefused("config-invalid", str(directory), 0, reason)

    @override
    def write(self, name: str, data: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._directory)
        with os.fdopen(descriptor, "wb") as file:
            os.fchown(descriptor, self._place.owner, self._place.owner)
            os.fchmod(descriptor, self._place.file_mode)
            file.write(data)


@dataclass(frozen=True, slots=True)
class RealTree:
    """The disk under `root`."""

    root: Path

    def make(self, place: Place) -> None:
        """See Tree. A directory that is there and was never given away is finished."""
        path = self.root
        for name in place.path.split("/"):
            above, path = path, path / name
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o755)
                _sync(above)
        if not place.ours:
            return
        descriptor = os.open(path, _DIRECTORY)
        try:
            own = os.fstat(descriptor).st_uid == os.geteuid()
            if own:  # pragma: no branch  (only root can have given it away)
                os.fchown(descriptor, place.owner, place.owner)
            os.fchmod(descriptor, place.mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def within(self, place: Place) -> Iterator[FileSystem]:
        """See Tree."""
        files = Owned(self.root / place.path, place)
        try:
            yield files
        finally:
            files.close()

    def remove(self, place: Place, name: str) -> None:
        """See Tree."""
        directory = self.root / place.path
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (directory / name).unlink()
            _sync(directory)

    def empty(self, path: str, last: str = "") -> None:
        """See Tree."""
        top = self.root / path
        for directory, folders, names in os.walk(top, topdown=False):
            here = os.open(directory, _DIRECTORY)
            try:
                for name in names:
                    if not (name == last and directory == str(top)):
                        os.unlink(name, dir_fd=here)
                for name in folders:
                    _unlink_or_rmdir(name, here)
                os.fsync(here)
            finally:
                os.close(here)
        if last:
            self.remove(Place(path), last)

    def is_empty(self, path: str) -> bool:
        """See Tree."""
        try:
            return not any((self.root / path).iterdir())
        except FileNotFoundError:
            return True


def _unlink_or_rmdir(name: str, descriptor: int) -> None:
    """A link to a directory is listed as one."""
    try:
        os.rmdir(name, dir_fd=descriptor)
    except NotADirectoryError:
        os.unlink(name, dir_fd=descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
