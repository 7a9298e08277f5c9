"""The few things we ask of a disk, as a port, and the real one.

A port this small can be modelled whole (state/model.py): what a power cut may leave is enumerated
there, not hoped for. Contract: nothing is durable before `sync` (a file's bytes) and
`sync_directory` (names); `rename` is atomic; every call may raise OSError, and then may have done
part of its work. This module knows nothing of what the files mean.
"""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override

if TYPE_CHECKING:
    from pathlib import Path

FILE_MODE: Final = 0o600
_OPEN: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO is refused, not waited for
_FOREIGN_WRITE: Final = 0o022
_LOST: Final = "lost+found"  # mkfs.ext4(8)'s, at the top of a partition of its own


class FileSystem(Protocol):
    """One flat directory. Names are ours, never from outside."""

    def read(self, name: str, limit_bytes: int, offset: int = 0) -> bytes:
        """At most `limit_bytes` from `offset`. Raises FileNotFoundError, OSError."""

    def size(self, name: str) -> int:
        """Bytes in the file. Raises FileNotFoundError."""

    def write(self, name: str, data: bytes) -> None:
        """Create the file, or empty it, and write `data`. Not durable yet."""

    def append(self, name: str, data: bytes) -> None:
        """Write `data` at the end, creating the file. Not durable yet."""

    def truncate(self, name: str, size: int) -> None:
        """Cut the file to `size` bytes. Not durable yet."""

    def sync(self, name: str) -> None:
        """Make the file's bytes durable (its name is `sync_directory`'s business)."""

    def rename(self, old: str, new: str) -> None:
        """Give `old` the name `new` in one step, replacing what had it. Not durable yet."""

    def sync_directory(self) -> None:
        """Make every name durable."""


class RealFileSystem(FileSystem):
    """A directory of ours: ours alone, no symlink followed, files 0600.

    Raises PermissionError at once if the directory belongs to somebody else or others may write to
    it (fault 61).
    """

    def __init__(self, directory: Path) -> None:
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        status = os.fstat(self._directory)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & _FOREIGN_WRITE:
            self.close()
            raise PermissionError(
                "directory of another owner, or writable by others: chown it, chmod 0700"
            )
        self._kept: dict[str, int] = {}  # files kept open for append: one open less a record

    def check(self) -> None:
        """Is what lies here ours, and ours alone to write? To be asked at the start (fault 61).

        Raises PermissionError with the name of the first that is not, and the remedy.
        """
        for name in sorted(entry.name for entry in os.scandir(self._directory)):
            status = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
            if name == _LOST and stat.S_ISDIR(status.st_mode) and status.st_uid == 0:
                continue
            if objection := _objection(status):
                raise PermissionError(f"{name}: {objection}")

    def lock(self) -> None:
        """Be the only one here until we end (flock(2)). Raises BlockingIOError."""
        fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Let go of the directory, and of its lock."""
        for name in list(getattr(self, "_kept", {})):
            self._forget(name)
        os.close(self._directory)

    @override
    def read(self, name: str, limit_bytes: int, offset: int = 0) -> bytes:
        descriptor = self._open(name, os.O_RDONLY)
        try:
            return _read_all(descriptor, limit_bytes, offset)
        finally:
            os.close(descriptor)

    @override
    def size(self, name: str) -> int:
        return os.stat(name, dir_fd=self._directory, follow_symlinks=False).st_size

    @override
    def write(self, name: str, data: bytes) -> None:
        self._forget(name)
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)

    @override
    def append(self, name: str, data: bytes) -> None:
        _write_all(self._keep(name), data)

    @override
    def truncate(self, name: str, size: int) -> None:
        os.ftruncate(self._keep(name), size)

    @override
    def sync(self, name: str) -> None:
        descriptor = self._kept.get(name)
        if descriptor is not None:
            os.fsync(descriptor)
            return
        descriptor = self._open(name, os.O_WRONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @override
    def rename(self, old: str, new: str) -> None:
        self._forget(old)
        self._forget(new)
        os.rename(old, new, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    @override
    def sync_directory(self) -> None:
        os.fsync(self._directory)

    def _open(self, name: str, flags: int) -> int:
        descriptor = os.open(name, flags | _OPEN, FILE_MODE, dir_fd=self._directory)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise PermissionError("not a regular file")
        return descriptor

    def _keep(self, name: str) -> int:
        if name not in self._kept:
            self._kept[name] = self._open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return self._kept[name]

    def _forget(self, name: str) -> None:
        descriptor = self._kept.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)


def _objection(status: os.stat_result) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "a symlink: put the file itself there"
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return "neither file nor directory: remove it"
    if status.st_uid != os.geteuid():
        return "belongs to another user: chown it to the directory's"
    if status.st_mode & _FOREIGN_WRITE:
        return "others may write it: chmod go-w"
    return None


def _read_all(descriptor: int, limit_bytes: int, offset: int) -> bytes:
    pieces: list[bytes] = []
    while limit_bytes:
        piece = os.pread(descriptor, limit_bytes, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        limit_bytes -= len(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
