"""What was made of a file, for as long as the file is the same [door].

A file that was changed a moment ago may change again without its times telling: the kernel's clock
of files goes in steps of some milliseconds. Until it is older, it is read at each question.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

YOUNG_NS: Final = 1_000_000_000
MAX_KEPT: Final = 4000

Value = TypeVar("Value")


class Unchanged(Generic[Value]):
    """Files of one kind. What `read` raises is raised, and nothing kept."""

    def __init__(self, read: Callable[[Path], Value]) -> None:
        self._read = read
        self._kept: dict[Path, tuple[tuple[int, ...], Value]] = {}

    def of(self, path: Path) -> Value:
        """Of this file. Raises OSError if there is none, and what `read` raises."""
        status = path.stat()
        seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        kept = self._kept.get(path)
        if kept is not None and kept[0] == seen:
            return kept[1]
        value = self._read(path)
        if time.time_ns() - status.st_ctime_ns > YOUNG_NS:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[path] = seen, value
        return value
