"""The PIV PIN's field and its VERIFY, in bytes that can be overwritten.

SP 800-73pt2-5 sections 2.4.3 and 3.2.1. Everything here works on a bytearray of the caller's, and
makes no other copy of a digit.
"""

from __future__ import annotations

from typing import Final

from sdbox_agent.card.verify import INS_VERIFY
from sdbox_agent.errors import DecodeError

# SP 800-73pt2-5 section 2.4.3; pt1 table 4b
REFERENCE: Final = 0x80
MIN_DIGITS: Final = 6
FIELD_BYTES: Final = 8
PADDING: Final = 0xFF
COMMAND_HEAD: Final = bytes([0x00, INS_VERIFY, 0x00, REFERENCE, FIELD_BYTES])


def check(field: bytearray | memoryview) -> None:
    """Raise DecodeError unless `field` is 6 to 8 ASCII digits, padded with FF."""
    digits = 0
    while digits < len(field) and 0x30 <= field[digits] <= 0x39:
        digits += 1
    padded = all(byte == PADDING for byte in field[digits:])
    if len(field) != FIELD_BYTES or digits < MIN_DIGITS or not padded:
        raise DecodeError("not a PIN field")


def command(field: bytearray) -> bytearray:
    """The whole VERIFY APDU; the caller overwrites it."""
    frame = bytearray(len(COMMAND_HEAD) + FIELD_BYTES)  # at once: growing would leave copies
    frame[: len(COMMAND_HEAD)] = COMMAND_HEAD
    frame[len(COMMAND_HEAD) :] = field
    return frame


def wipe(buffer: bytearray | memoryview) -> None:
    """Overwrite it, in its place."""
    for index in range(len(buffer)):
        buffer[index] = 0
