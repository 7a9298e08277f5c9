"""BER-TLV data objects (ISO/IEC 7816-4:2020 section 6.3), read strictly.

Definite lengths in their shortest form, tags in their shortest form, nothing left over. One level
at a time: whoever knows that a value is a template reads it with a second call, so nesting is as
deep as our own code and never as deep as the card likes. DER (X.690) is a subset of what is read
here, and the few DER values that a card hands out are read with the same functions. This module
knows no tag by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdbox_agent.errors import DecodeError

# ISO/IEC 7816-4:2020 section 6.3 and X.690 section 8.1.2
_LONG_TAG: Final = 0x1F
_MORE: Final = 0x80

# Ours: no object of a PIV card is larger than 16 KiB, so no length needs more than two bytes.
MAX_TAG_BYTES: Final = 3
MAX_LENGTH_BYTES: Final = 2
MAX_ITEMS: Final = 64


@dataclass(frozen=True, slots=True)
class Item:
    """One data object: the tag's bytes as one number (0x5F2F), and the value."""

    tag: int
    value: bytes


def encode(tag: int, value: bytes) -> bytes:
    """One data object in its one form. Raises ValueError if it is longer than we read."""
    size = len(value)
    if size < _MORE:
        length = bytes([size])
    else:
        length = size.to_bytes((size.bit_length() + 7) // 8)
        if len(length) > MAX_LENGTH_BYTES:
            raise ValueError("value too long")
        length = bytes([_MORE | len(length)]) + length
    return tag.to_bytes((tag.bit_length() + 7) // 8) + length + value


def parse(data: bytes) -> list[Item]:
    """The data objects that stand side by side in `data`. Raises DecodeError."""
    items: list[Item] = []
    at = 0
    while at < len(data):
        if len(items) == MAX_ITEMS:
            raise DecodeError("too many data objects")
        tag, at = _tag(data, at)
        size, at = _length(data, at)
        if size > len(data) - at:
            raise DecodeError("length runs past the end")
        items.append(Item(tag, data[at : at + size]))
        at += size
    return items


def one(data: bytes, tag: int) -> bytes:
    """The value of the one data object that `data` is, and nothing else. Raises DecodeError."""
    items = parse(data)
    if len(items) != 1 or items[0].tag != tag:
        raise DecodeError("not the one data object expected")
    return items[0].value


def sequence(data: bytes, *tags: int) -> list[bytes]:
    """The values of exactly these data objects, in this order. Raises DecodeError."""
    items = parse(data)
    if [item.tag for item in items] != list(tags):
        raise DecodeError("not the data objects expected")
    return [item.value for item in items]


def fields(data: bytes, required: set[int], optional: set[int]) -> dict[int, bytes]:
    """Data objects by tag: each required one once, each optional one at most once, no other.

    Raises DecodeError.
    """
    found: dict[int, bytes] = {}
    for item in parse(data):
        if item.tag in found:
            raise DecodeError("data object twice")
        found[item.tag] = item.value
    if not required <= found.keys() <= required | optional:
        raise DecodeError("data object missing or foreign")
    return found


def _tag(data: bytes, at: int) -> tuple[int, int]:
    start, first = at, data[at]
    if first in {0x00, 0xFF}:  # padding, in other standards' BER-TLV
        raise DecodeError("not a tag")
    at += 1
    if first & _LONG_TAG != _LONG_TAG:
        return first, at
    number = 0
    while at - start < MAX_TAG_BYTES:
        if at == len(data):
            raise DecodeError("tag runs past the end")
        byte = data[at]
        at += 1
        if number == 0 and byte == _MORE:
            raise DecodeError("tag not in its shortest form")
        number = number << 7 | byte & 0x7F
        if not byte & _MORE:
            if number < _LONG_TAG:
                raise DecodeError("tag not in its shortest form")
            return int.from_bytes(data[start:at]), at
    raise DecodeError("tag too long")


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at == len(data):
        raise DecodeError("no length")
    first = data[at]
    at += 1
    if first < _MORE:
        return first, at
    count = first & 0x7F
    if not 1 <= count <= MAX_LENGTH_BYTES:  # 80: indefinite
        raise DecodeError("length form not allowed")
    if count > len(data) - at:
        raise DecodeError("length runs past the end")
    size = int.from_bytes(data[at : at + count])
    if size < (_MORE if count == 1 else 0x100):
        raise DecodeError("length not in its shortest form")
    return size, at + count
