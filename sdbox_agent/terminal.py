"""[door] A PIN typed by a person: unseen on the terminal, and in no copy that is not overwritten.

Read byte by byte from a terminal or one line of a file, into one buffer; never in an argument, the
environment, a log or an exception. Knows no card.
"""

from __future__ import annotations

import contextlib
import os
import termios
from typing import TYPE_CHECKING, Final

from sdbox_agent.card import pin

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE_BYTES: Final = 64
_ENDS: Final = frozenset(b"\r\n")


def read_pin(descriptor: int, field: bytearray | memoryview) -> None:
    """Fill the field of a PIN with one line of digits; the caller overwrites it.

    A terminal shows none of them. Raises DecodeError for anything but 6 to 8 digits.
    """
    line = bytearray(MAX_LINE_BYTES)
    try:
        with _unseen(descriptor):
            size = read_line(descriptor, line)
        # Too long a line makes no field, so that `check` refuses it too.
        field[:] = bytes([pin.PADDING]) * pin.FIELD_BYTES
        if size <= pin.FIELD_BYTES:
            field[:size] = memoryview(line)[:size]
        pin.check(field)
    finally:
        pin.wipe(line)


def read_line(descriptor: int, line: bytearray) -> int:
    """Read up to the end of the line, whose first bytes come to `line`; how many they are.

    One byte a call: whatever else reads from there gets what follows. A longer line fills `line`.
    """
    size = 0
    one = bytearray(1)
    try:
        while os.readv(descriptor, [one]) and one[0] not in _ENDS:
            if size < len(line):
                line[size] = one[0]
                size += 1
    finally:
        pin.wipe(one)
    return size


@contextlib.contextmanager
def _unseen(descriptor: int) -> Iterator[None]:
    """No echo, where it is a terminal; what was typed before is forgotten."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
