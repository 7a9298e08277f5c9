"""Reading a file that decides what this box is: settings, anchors, keys.

It must be a regular file of root's or our own, that nobody else may write, and for a key that
nobody else may read; no symlink at its end. The checks are made on the open file, not on its name
(fault 61).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from sdbox_agent import screen
from sdbox_agent.errors import Fault

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 256 * 1024
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class FileRefused(Fault):
    """`config-invalid`, with the file, the line (0: the whole file) and the reason, for operators.

    The reason quotes nothing that stands in the file.
    """

    def __init__(self, code: str, file: str, line: int, reason: str) -> None:
        super().__init__(code)
        self.file = file
        self.line = line
        self.reason = reason

    @property
    def diagnosis(self) -> str:
        """`file:line: reason`, the form editors understand; on one line, and no command in it.

        Names of files and keys are of whoever wrote them, and a terminal may read this.
        """
        where = f"{self.file}:{self.line}" if self.line else self.file
        return screen.printable(f"{where}: {self.reason}")


def read(path: Path, *, private: bool = False) -> bytes:
    """The file's bytes. Raises FileRefused, FileNotFoundError, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError:
        raise FileRefused(
            "config-invalid", str(path), 0, "can't be opened, or is a symlink"
        ) from None
    try:
        reason = _objection(os.fstat(descriptor), private=private)
        if reason:
            raise FileRefused("config-invalid", str(path), 0, reason)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise FileRefused("config-invalid", str(path), 0, "too large")
    return data


def _objection(status: os.stat_result, *, private: bool) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_uid not in {0, os.geteuid()}:
        return "belongs neither to root nor to this user: chown root"
    if status.st_mode & _WRITABLE:
        return "others may write it: chmod go-w"
    if private and status.st_mode & _OPEN_TO_OTHERS:
        return "others may read this key: chmod 0400"
    return None
