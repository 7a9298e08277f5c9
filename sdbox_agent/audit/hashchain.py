"""The chain over the audit lines: each line names the SHA-256 of the one before.

Says what is wrong first, and where. Without a head from elsewhere (the centre's checkpoint), lines
missing at the very end, or a last line rewritten in a valid form, can't be seen: give `head` where
you have one. Pure.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from sdbox_agent.audit import record
from sdbox_agent.errors import DecodeError, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["truncated", "edited", "reordered", "removed"]  # faults 86, 87, 88, and a gap


class ChainBroken(Fault):
    """The first bad line (from 1; one past the last if the end is missing), and its kind."""

    def __init__(self, line: int, kind: Kind) -> None:
        super().__init__("audit-damaged")
        self.line = line
        self.kind: Kind = kind


def digest(line: bytes) -> str:
    """What the next line's `prev` must be."""
    return hashlib.sha256(line).hexdigest()


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The complete lines of a file, and what follows the last newline (empty if it is whole)."""
    *lines, rest = data.split(b"\n")
    return lines, rest


def verify(data: bytes, head: str | None = None) -> int:
    """Check a whole record; returns how many lines it has. Raises ChainBroken.

    `head` is the digest of the last line as known elsewhere.
    """
    lines, rest = split(data)
    prev = record.GENESIS
    for index, line in enumerate(lines):
        try:
            entry = record.decode(line)
        except DecodeError:
            raise ChainBroken(index + 1, "edited") from None
        if entry.seq != index + 1:
            raise ChainBroken(index + 1, _order(lines, index))
        if entry.prev != prev:
            raise ChainBroken(*_edited(lines, index))
        prev = digest(line)
    if rest:
        raise ChainBroken(len(lines) + 1, "truncated")
    if head not in {None, prev}:  # the end was rewritten or cut off: from here nobody can tell
        raise ChainBroken(len(lines) + 1, "truncated")
    return len(lines)


def _order(lines: Sequence[bytes], index: int) -> Kind:
    """The line that should stand at `index`: is it elsewhere in the file, or gone?"""
    for line in lines[index + 1 :]:
        try:
            if record.decode(line).seq == index + 1:
                return "reordered"
        except DecodeError:
            continue
    return "removed"


def _edited(lines: Sequence[bytes], index: int) -> tuple[int, Kind]:
    """Line `index` does not follow from the one before it: which of the two was changed?

    If the next line still vouches for this one, it was the one before.
    """
    vouched = index + 1 < len(lines) and _prev(lines[index + 1]) == digest(lines[index])
    return (index if vouched and index else index + 1), "edited"


def _prev(line: bytes) -> str | None:
    try:
        return record.decode(line).prev
    except DecodeError:
        return None
