"""BER-TLV data objects, as a card reads and writes them (ISO/IEC 7816-4:2020, 5.2.2 and 6.3).

Knows tags of up to three bytes and definite lengths of up to two. Does not know what any tag means.
Lengths longer than need be are read, as the standard allows them; they are never written.
"""

from __future__ import annotations

MAX_TAG_BYTES = 3
MAX_LENGTH = 0xFFFF


class TlvError(ValueError):
    """The bytes are not a sequence of BER-TLV data objects; the message quotes none of them."""


def encode(tag: int, value: bytes = b"") -> bytes:
    """One data object: `tag` as it stands on the wire (0x5F2F is two bytes), minimal length."""
    head = tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")
    size = len(value)
    if size > MAX_LENGTH:
        raise ValueError("a data object of more than 65,535 bytes")
    if size < 0x80:
        return head + bytes([size]) + value
    if size <= 0xFF:
        return head + bytes([0x81, size]) + value
    return head + b"\x82" + size.to_bytes(2, "big") + value


def decode(data: bytes) -> list[tuple[int, bytes]]:
    """The data objects of one level, in their order.

    Raises:
        TlvError: a tag or length is cut, too long or indefinite, or runs past the end.
    """
    objects = []
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        size, at = _length(data, at)
        if size > len(data) - at:
            raise TlvError("length past the end")
        objects.append((tag, data[at : at + size]))
        at += size
    return objects


def decode_one(tag: int, data: bytes) -> bytes:
    """The value of the one data object that `data` is.

    Raises:
        TlvError: `data` is anything else than one object with this tag.
    """
    match decode(data):
        case [(found, value)] if found == tag:
            return value
        case _:
            raise TlvError("another data object than the one asked for")


def decode_set(data: bytes) -> dict[int, bytes]:
    """The data objects of a template in which each tag may stand once.

    Raises:
        TlvError: not a sequence of data objects, or a tag stands twice.
    """
    objects = decode(data)
    found = dict(objects)
    if len(found) != len(objects):
        raise TlvError("a tag stands twice")
    return found


def _tag(data: bytes, at: int) -> tuple[int, int]:
    start = at
    at += 1
    if data[start] & 0x1F == 0x1F:
        while True:
            if at - start == MAX_TAG_BYTES:
                raise TlvError("tag too long")
            if at == len(data):
                raise TlvError("tag cut")
            at += 1
            if not data[at - 1] & 0x80:
                break
    return int.from_bytes(data[start:at], "big"), at


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at == len(data):
        raise TlvError("length missing")
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    count = first & 0x7F
    if count not in (1, 2):
        raise TlvError("length indefinite or too long")
    if at + count > len(data):
        raise TlvError("length cut")
    return int.from_bytes(data[at : at + count], "big"), at + count
