"""The audit record on this box's disk [door]: one line an event, durable before anything goes on.

Appended and synced; after a crash a torn last line is cut off and its loss recorded in the chain.
At 95 % of its budget no session opens any more (no log, no access), and what is left serves to
record how the open one ends. After a failed sync nothing can be trusted until a restart.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from sdbox_agent.audit import hashchain, record
from sdbox_agent.errors import DecodeError, Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from msgspec import UnsetType

    from sdbox_agent.audit.record import Result
    from sdbox_agent.state.filesystem import FileSystem
    from sdbox_agent.terms import Level

NAME: Final = "audit.jsonl"
BUDGET_BYTES: Final = 64 * 1024 * 1024  # about 200,000 entries
FULL: Final = 0.95
TORN: Final = "audit-torn"
_TAIL_BYTES: Final = 4 * (record.MAX_LINE_BYTES + 1)  # three whole lines at least


class Outbox:
    """The one writer of the record. `boot_id` names this start of the agent's machine."""

    def __init__(self, files: FileSystem, boot_id: str, budget_bytes: int = BUDGET_BYTES) -> None:
        """Take up the chain where it ended.

        Raises Fault("audit-damaged") if its last line can't be one of ours, Fault("disk-failed").
        """
        self._files = files
        self._boot_id = boot_id
        self._budget_bytes = budget_bytes
        self._failed = False
        self._seq, self._prev, self._size = 0, record.GENESIS, 0
        try:
            torn = self._resume()
        except OSError:
            raise Fault("disk-failed") from None
        if torn:
            self.append(TORN, result="fault")

    @property
    def head(self) -> tuple[int, str]:
        """Sequence number and digest of the last line: what a checkpoint would sign."""
        return self._seq, self._prev

    @property
    def fill(self) -> float:
        """Share of the budget in use, 0..1."""
        return self._size / self._budget_bytes

    def check_room(self) -> None:
        """Before a session opens: raises Fault("audit-full") from 95 % on, Fault("disk-failed")."""
        if self._failed:
            raise Fault("disk-failed")
        if self._size >= FULL * self._budget_bytes:
            raise Fault("audit-full")

    def append(
        self,
        code: str,
        *,
        result: Result,
        session: str | None = None,
        level: Level | None = None,
        utc_s: int | None = None,
        sha256: str | UnsetType = UNSET,
    ) -> int:
        """Record one event; it is on disk when this returns its sequence number.

        Raises Fault("audit-full") when not a byte is left, Fault("disk-failed"), DecodeError for a
        field that may not stand in the record.
        """
        if self._failed:
            raise Fault("disk-failed")
        entry = record.Entry(
            seq=self._seq + 1,
            prev=self._prev,
            boot_id=self._boot_id,
            mono_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            utc=None if utc_s is None else record.utc_text(utc_s),
            code=code,
            session=session,
            level=level,
            result=result,
            sha256=sha256,
        )
        line = record.encode(entry)
        if self._size + len(line) + 1 > self._budget_bytes:
            raise Fault("audit-full")
        self._write(line + b"\n")
        self._seq, self._prev, self._size = (
            entry.seq,
            hashchain.digest(line),
            self._size + len(line) + 1,
        )
        return entry.seq

    def _write(self, data: bytes) -> None:
        """Append durably, or leave the file as it was; failing that, never write again."""
        try:
            self._files.append(NAME, data)
        except OSError:
            self._failed = not self._attempt(lambda: self._files.truncate(NAME, self._size))
            raise Fault("disk-failed") from None
        try:
            self._files.sync(NAME)
            if not self._size:
                self._files.sync_directory()
        except OSError:
            self._failed = True  # the kernel may have dropped the bytes: fsync tells it once only
            raise Fault("disk-failed") from None

    @staticmethod
    def _attempt(act: Callable[[], None]) -> bool:
        try:
            act()
        except OSError:
            return False
        return True

    def _resume(self) -> bool:
        """Find the end of the chain; cut a torn line off. Returns whether one was."""
        try:
            self._size = self._files.size(NAME)
        except FileNotFoundError:
            return False
        start = max(0, self._size - _TAIL_BYTES)
        tail = self._files.read(NAME, _TAIL_BYTES, start)
        lines, torn_bytes = _whole_lines(tail, cut_at_start=start > 0)
        if torn_bytes:
            self._files.truncate(NAME, self._size - torn_bytes)
            self._files.sync(NAME)
            self._size -= torn_bytes
        if lines:
            self._seq, self._prev = _last(lines)
        elif self._size:
            raise Fault("audit-damaged")
        return torn_bytes > 0


def _whole_lines(tail: bytes, *, cut_at_start: bool) -> tuple[list[bytes], int]:
    """The complete lines of a file's tail, and the length of the torn one after them.

    A torn line is what a power cut may leave of one append: a piece without newline, or a line of
    the right length that is not an entry (bytes that never arrived read as zeros).
    """
    lines, rest = hashchain.split(tail)
    if cut_at_start:
        lines = lines[1:]
    if rest or not lines:
        return lines, len(rest)
    try:
        record.decode(lines[-1])
    except DecodeError:
        return lines[:-1], len(lines[-1]) + 1
    return lines, 0


def _last(lines: list[bytes]) -> tuple[int, str]:
    """Sequence number and digest of the last line. Raises Fault("audit-damaged")."""
    try:
        last = record.decode(lines[-1])
    except DecodeError:
        raise Fault("audit-damaged") from None
    before = hashchain.digest(lines[-2]) if len(lines) > 1 else None
    if before not in {None, last.prev}:
        raise Fault("audit-damaged")
    return last.seq, hashchain.digest(lines[-1])


def verify_file(path: Path, head: str | None = None) -> int:
    """Check the record at `path`; returns its number of lines.

    Raises hashchain.ChainBroken (line and kind), OSError.
    """
    return hashchain.verify(path.read_bytes(), head)
