"""A file system that forgets: the double of state/filesystem.py, for tests.

It keeps what is durable apart from what was only asked for. `after_cut` enumerates every disk that
a power cut at this moment may leave:
- each name change not yet synced has happened or not, in any combination (each one whole: rename
  is atomic), so names may come back in another order than they were asked for;
- each file not yet synced holds any state between its last sync and now: any of its writes, cut
  anywhere that matters, or its length with zeros where the data never arrived (as on ext4 and XFS
  with delayed allocation).
After a failed fsync, no later one makes those bytes durable, though it says so (the kernel has
marked the pages clean); only bytes written anew can be.
"""

from __future__ import annotations

import errno
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from sdbox_agent.state.filesystem import FileSystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_PENDING_NAMES: Final = 12  # 2**12 combinations a cut; a store needs two


class PowerCut(Exception):  # noqa: N818  what happened, not an error of ours
    """The power failed in the middle of a call."""


@dataclass
class _File:
    durable: bytes = b""
    data: bytes = b""
    between: list[bytes] = field(default_factory=list)  # contents since the last sync
    lost: bool = False  # an fsync failed: these bytes may never arrive

    def change(self, data: bytes) -> None:
        self.data = data
        self.between.append(data)

    def possible(self) -> list[bytes]:
        """Every content a cut may leave."""
        seen = {self.durable: None}
        before = self.durable
        for after in self.between:
            for content in _partly(before, after):
                seen[content] = None
            before = after
        return list(seen)


def _partly(before: bytes, after: bytes) -> list[bytes]:
    """`after` as written over `before`, whole and cut at every place of interest."""
    same = next(
        (i for i, (x, y) in enumerate(zip(before, after, strict=False)) if x != y),
        min(len(before), len(after)),
    )
    cuts = {same, same + 1, (same + len(after)) // 2, len(after) - 1, len(after)}
    pieces = [after[:cut] for cut in sorted(cuts) if same <= cut <= len(after)]
    zeros = after[:same] + b"\0" * (len(after) - same)
    return [*pieces, zeros, zeros[: len(after) // 2] + after[len(after) // 2 :]]


_Names = dict[str, _File]


@dataclass(frozen=True)
class _Link:
    name: str
    file: _File

    def apply(self, names: _Names) -> None:
        names[self.name] = self.file


@dataclass(frozen=True)
class _Rename:
    old: str
    new: str
    file: _File

    def apply(self, names: _Names) -> None:
        if names.get(self.old) is self.file:
            del names[self.old]
        names[self.new] = self.file


class ModelFileSystem(FileSystem):
    """A directory in memory.

    `fail` maps the number of a call (from 0) to the errno it raises, having done half its work;
    `cut_at` is the call in the middle of which the power fails.
    """

    def __init__(self, fail: dict[int, int] | None = None, cut_at: int | None = None) -> None:
        self._durable: _Names = {}
        self._names: _Names = {}
        self._pending: list[_Link | _Rename] = []
        self.fail = fail or {}
        self.cut_at = cut_at
        self.calls = 0

    # -- the port --------------------------------------------------------------------------------

    @override
    def read(self, name: str, limit_bytes: int, offset: int = 0) -> bytes:
        self._step()
        return self._file(name).data[offset : offset + limit_bytes]

    @override
    def size(self, name: str) -> int:
        self._step()
        return len(self._file(name).data)

    @override
    def write(self, name: str, data: bytes) -> None:
        file = self._made(name)
        file.lost = False  # every byte is new
        file.change(b"")
        self._put(file, data)

    @override
    def append(self, name: str, data: bytes) -> None:
        self._put(self._made(name), data)

    @override
    def truncate(self, name: str, size: int) -> None:
        file = self._file(name)
        self._step(lambda: file.change(file.data[:size]))

    @override
    def sync(self, name: str) -> None:
        file = self._file(name)
        try:
            self._step()
        except OSError:
            file.lost = True
            raise
        if not file.lost:
            file.durable, file.between = file.data, []

    @override
    def rename(self, old: str, new: str) -> None:
        change = _Rename(old, new, self._file(old))

        def do() -> None:
            change.apply(self._names)
            self._pending.append(change)

        self._step(do)

    @override
    def sync_directory(self) -> None:
        self._step()
        self._durable, self._pending = dict(self._names), []

    # -- the enumeration -------------------------------------------------------------------------

    def after_cut(self) -> Iterator[ModelFileSystem]:
        """Every disk that a cut now may leave, each as a fresh file system."""
        if len(self._pending) > MAX_PENDING_NAMES:
            raise ValueError("too many names pending to enumerate")
        seen: set[tuple[tuple[str, bytes], ...]] = set()
        for happened in itertools.product((False, True), repeat=len(self._pending)):
            names = dict(self._durable)
            for change, done in zip(self._pending, happened, strict=True):
                if done:
                    change.apply(names)
            for contents in itertools.product(*(file.possible() for file in names.values())):
                disk = tuple(zip(names, contents, strict=True))
                if disk not in seen:
                    seen.add(disk)
                    yield self.of(dict(disk))

    @classmethod
    def of(cls, contents: dict[str, bytes]) -> ModelFileSystem:
        """A disk that durably holds `contents`."""
        model = cls()
        model._durable = {name: _File(data, data) for name, data in contents.items()}
        model._names = dict(model._durable)
        return model

    def contents(self) -> dict[str, bytes]:
        """What a reader sees now."""
        return {name: file.data for name, file in self._names.items()}

    # -- inside ----------------------------------------------------------------------------------

    def _step(self, do: Callable[[], None] | None = None) -> None:
        """Count one call; fail or cut in the middle of it if this is the one."""
        number, self.calls = self.calls, self.calls + 1
        if number == self.cut_at:
            if do:
                do()
            raise PowerCut
        if number in self.fail:
            raise OSError(self.fail[number], errno.errorcode[self.fail[number]])
        if do:
            do()

    def _put(self, file: _File, data: bytes) -> None:
        before = file.data
        try:
            self._step(lambda: file.change(before + data))
        except OSError:
            file.change(before + data[: len(data) // 2])
            raise

    def _made(self, name: str) -> _File:
        if name not in self._names:
            link = _Link(name, _File())
            link.apply(self._names)
            self._pending.append(link)
        return self._names[name]

    def _file(self, name: str) -> _File:
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return self._names[name]
