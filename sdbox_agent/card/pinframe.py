"""What the prompt process and the card worker say to each other: a PIN, and what became of it.

Not JSON, as all our other channels, so that the digits never leave a bytearray. A request is 13
bytes: session number (u32, big-endian), flags, PIN field; an answer is two: status, tries left.
"""

from __future__ import annotations

import enum
from typing import Final

from sdbox_agent.card import pin
from sdbox_agent.errors import DecodeError

NUMBER_BYTES: Final = 4
REQUEST_BYTES: Final = NUMBER_BYTES + 1 + pin.FIELD_BYTES
ANSWER_BYTES: Final = 2
FIELD: Final = slice(NUMBER_BYTES + 1, REQUEST_BYTES)
LAST_TRY: Final = 0x01  # flag: "I know that this is the last try"
UNKNOWN: Final = 0xFF  # tries left
_FLAGS_AT: Final = NUMBER_BYTES


@enum.unique
class Status(enum.IntEnum):
    """What became of a PIN."""

    ACCEPTED = 0
    WRONG = 1
    BLOCKED = 2
    NOT_NOW = 3
    LAST_TRY = 4  # it would be the last, and the flag is not set: nothing was sent to the card
    MALFORMED = 5


def write_head(request: bytearray, n: int, *, last: bool) -> None:
    """Put session number and flag before a field that is already there."""
    request[:NUMBER_BYTES] = n.to_bytes(NUMBER_BYTES)
    request[_FLAGS_AT] = LAST_TRY if last else 0


def read_head(request: bytearray | memoryview) -> tuple[int, bool]:
    """Session number and flag of a request whose field is one. Raises DecodeError."""
    if len(request) != REQUEST_BYTES or request[_FLAGS_AT] & ~LAST_TRY:
        raise DecodeError("not a request of the prompt")
    pin.check(memoryview(request)[FIELD])
    return int.from_bytes(request[:NUMBER_BYTES]), bool(request[_FLAGS_AT] & LAST_TRY)


def answer(status: Status, left: int | None = None) -> bytes:
    """Two bytes."""
    return bytes([status, UNKNOWN if left is None else left])


def read_answer(data: bytes) -> tuple[Status, int | None]:
    """Status and tries left, None where they are not known. Raises DecodeError."""
    if len(data) != ANSWER_BYTES or data[0] > max(Status) or 15 < data[1] < UNKNOWN:
        raise DecodeError("not an answer of the card worker")
    return Status(data[0]), None if data[1] == UNKNOWN else data[1]
