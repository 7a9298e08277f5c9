"""What was made of a file, kept while the file is the same [door].

A file is the same while its times, size and inode are. One that has just been written may be
written again within the clock's own step: what was made of it is not kept yet.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

JUST_WRITTEN_NS: Final = 10**9
MAX_KEPT: Final = 1000

Made = TypeVar("Made")
_Look = tuple[int, int, int, int]


class Fresh(Generic[Made]):
    """One value a file."""

    def __init__(self, make: Callable[[Path], Made]) -> None:
        self._make = make
        self._kept: dict[Path, tuple[_Look, Made]] = {}

    def of(self, path: Path) -> Made:
        """The value made of the file as it is now. Raises OSError, and as its making does."""
        status = path.stat()
        look = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        kept = self._kept.get(path)
        if kept is not None and kept[0] == look:
            return kept[1]
        made = self._make(path)
        if time.time_ns() - status.st_ctime_ns > JUST_WRITTEN_NS:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[path] = (look, made)
        return made
