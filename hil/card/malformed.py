"""Data objects that are broken on purpose.

Each is made from a well-formed one, as its one mistake. Does not know when it is shown.
"""

from __future__ import annotations

import gzip
from enum import Enum, auto
from typing import Final

from hil.card.tlv import decode_one, encode

NESTING_LEVELS: Final = 1000


class Malformation(Enum):
    """Ways for a data object to be no BER-TLV, or not the object it should be."""

    EMPTY = auto()
    TRUNCATED = auto()
    TRAILING_BYTE = auto()
    LENGTH_PAST_END = auto()
    INDEFINITE_LENGTH = auto()
    FOUR_BYTE_LENGTH = auto()
    DUPLICATE_TAGS = auto()
    DEEP_NESTING = auto()


def malformed(wire: bytes, how: Malformation) -> bytes:
    """A well-formed data object with a tag of one or two bytes, broken."""
    head = wire[: 2 if wire[0] & 0x1F == 0x1F else 1]
    tag = int.from_bytes(head, "big")
    value = decode_one(tag, wire)
    broken = {
        Malformation.EMPTY: b"",
        Malformation.TRUNCATED: wire[:-1],
        Malformation.TRAILING_BYTE: wire + b"\x00",
        Malformation.LENGTH_PAST_END: head + b"\x82\xff\xff" + value,
        Malformation.INDEFINITE_LENGTH: head + b"\x80" + value + b"\x00\x00",
        Malformation.FOUR_BYTE_LENGTH: (head + b"\x84" + len(value).to_bytes(4, "big") + value),
        Malformation.DUPLICATE_TAGS: encode(tag, value + value),
        Malformation.DEEP_NESTING: encode(tag, _nested(value)),
    }
    return broken[how]


def gzip_bomb(inflated_bytes: int) -> bytes:
    """The content of a certificate object that inflates to this many zeros (about 1 to 1,000)."""
    return encode(0x70, gzip.compress(bytes(inflated_bytes), mtime=0)) + b"\x71\x01\x01\xfe\x00"


def _nested(value: bytes) -> bytes:
    for _ in range(NESTING_LEVELS):
        value = encode(0x70, value)
    return value
