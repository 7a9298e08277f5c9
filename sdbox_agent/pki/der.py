"""A small DER reader and writer (ITU-T X.690), for formats whose every field is known beforehand.

It knows single-byte tags and definite, minimal lengths below 16 MiB, and nothing else: no
indefinite length, no tag number above 30, no choice of encodings. It knows no schema.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from sdbox_agent.errors import DecodeError

# X.690 section 8.1.2, X.680 section 8.6
BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
UTF8_STRING: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONSTRUCTED: Final = 0x20
CONTEXT: Final = 0x80  # [n] IMPLICIT of a primitive type; add CONSTRUCTED for the others
HIGH_TAG_NUMBER: Final = 0x1F
LONG_LENGTH: Final = 0x80
UTC_TIME_PIVOT: Final = 50  # RFC 5280 section 4.1.2.5.1: YY >= 50 means 19YY

# Ours
MAX_LENGTH_OCTETS: Final = 3
MAX_DEPTH: Final = 16
MAX_INTEGER_BYTES: Final = 20  # RFC 5280 section 4.1.2.2: the longest serial number
MAX_OID_BYTES: Final = 64
MAX_ARC_BYTES: Final = 19  # a 128-bit arc, as under 2.25


class Reader:
    """Walks the elements of `data` in order; each method consumes one or raises DecodeError."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def at_end(self) -> bool:
        """True when nothing is left."""
        return self._at == len(self._data)

    def end(self) -> None:
        """Nothing may follow."""
        if not self.at_end():
            raise DecodeError("DER: trailing bytes")

    def peek(self) -> int:
        """The next element's tag; -1 at the end."""
        return -1 if self.at_end() else self._data[self._at]

    def _header(self) -> tuple[int, int, int]:
        """Tag, and where the content starts and stops."""
        data, at = self._data, self._at
        if len(data) - at < 2:
            raise DecodeError("DER: truncated")
        tag, length, at = data[at], data[at + 1], at + 2
        if tag & HIGH_TAG_NUMBER == HIGH_TAG_NUMBER:
            raise DecodeError("DER: tag number above 30")
        if length >= LONG_LENGTH:
            octets = length - LONG_LENGTH
            if not 1 <= octets <= MAX_LENGTH_OCTETS or len(data) - at < octets:
                raise DecodeError("DER: length form")
            length = int.from_bytes(data[at : at + octets])
            at += octets
            if length < LONG_LENGTH or length >> 8 * (octets - 1) == 0:
                raise DecodeError("DER: length not minimal")
        if length > len(data) - at:
            raise DecodeError("DER: truncated")
        return tag, at, at + length

    def read(self, tag: int) -> bytes:
        """The content of the next element, whose tag must be `tag`."""
        found, start, stop = self._header()
        if found != tag:
            raise DecodeError("DER: unexpected tag")
        self._at = stop
        return self._data[start:stop]

    def raw(self) -> bytes:
        """The next element whole: tag, length and content."""
        start = self._at
        _, _, self._at = self._header()
        return self._data[start : self._at]

    def enter(self, tag: int = SEQUENCE) -> Reader:
        """A reader of the next element's content."""
        return Reader(self.read(tag))

    def expect(self, encoding: bytes) -> None:
        """The next bytes must be exactly `encoding`."""
        if not self._data.startswith(encoding, self._at):
            raise DecodeError("DER: not the expected value")
        self._at += len(encoding)

    def integer(self) -> int:
        """A non-negative INTEGER of at most 20 bytes."""
        content = self.read(INTEGER)
        if not 1 <= len(content) <= MAX_INTEGER_BYTES or content[0] >= 0x80:
            raise DecodeError("DER: integer out of range")
        if len(content) > 1 and content[0] == 0 and content[1] < 0x80:
            raise DecodeError("DER: integer not minimal")
        return int.from_bytes(content)

    def octets(self, *lengths: int) -> bytes:
        """An OCTET STRING, of one of `lengths` bytes if any is given."""
        content = self.read(OCTET_STRING)
        if lengths and len(content) not in lengths:
            raise DecodeError("DER: octet string length")
        return content

    def bits(self) -> bytes:
        """A BIT STRING of whole bytes."""
        content = self.read(BIT_STRING)
        if content[:1] != b"\0":
            raise DecodeError("DER: bit string")
        return content[1:]

    def oid(self) -> str:
        """An OBJECT IDENTIFIER in dotted form."""
        return _dotted(self.read(OBJECT_IDENTIFIER))

    def utf8(self, max_bytes: int) -> str:
        """A UTF8String of at most `max_bytes`."""
        content = self.read(UTF8_STRING)
        if len(content) > max_bytes:
            raise DecodeError("DER: text too long")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("DER: text") from None

    def time_s(self) -> int:
        """Seconds since 1970, UTC, of a UTCTime or GeneralizedTime as RFC 5280 profiles them.

        RFC 5280 section 4.1.2.5: seconds given, no fraction, `Z`; UTCTime through 2049.
        """
        if self.peek() == UTC_TIME:
            text = self.read(UTC_TIME)
            century = b"19" if text[:2] >= b"%d" % UTC_TIME_PIVOT else b"20"
            return _epoch(century + text)
        text = self.read(GENERALIZED_TIME)
        if text[:4] < b"2050" and text[:4] >= b"1950":
            raise DecodeError("DER: time must be UTCTime")
        return _epoch(text)


def _epoch(text: bytes) -> int:
    digits = text[:-1]
    if len(text) != 15 or text[-1:] != b"Z" or not digits.isdigit():
        raise DecodeError("DER: time")
    year, *rest = (int(digits[a:b]) for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12)))
    month, day, hour, minute = rest
    try:
        moment = dt.datetime(year, month, day, hour, minute, int(digits[12:]), tzinfo=dt.UTC)
    except ValueError:
        raise DecodeError("DER: time") from None
    return int((moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds())


def _dotted(content: bytes) -> str:
    if not content or len(content) > MAX_OID_BYTES or content[-1] & 0x80:
        raise DecodeError("DER: object identifier")
    arcs: list[int] = []
    arc = octets = 0
    for byte in content:
        if (octets == 0 and byte == 0x80) or octets == MAX_ARC_BYTES:
            raise DecodeError("DER: object identifier")
        arc, octets = arc << 7 | byte & 0x7F, octets + 1
        if not byte & 0x80:
            arcs.append(arc)
            arc = octets = 0
    first = min(arcs[0] // 40, 2)  # X.690 section 8.19.4
    return ".".join(str(n) for n in (first, arcs[0] - 40 * first, *arcs[1:]))


def check(data: bytes, max_bytes: int) -> None:
    """Refuse anything but one well-formed element with well-formed elements inside.

    Contents of primitive types are not looked at. Raises DecodeError.
    """
    if len(data) > max_bytes:
        raise DecodeError("DER: too large")
    top = Reader(data)
    top.raw()
    top.end()
    stack = [Reader(data)]
    while stack:
        reader = stack[-1]
        if reader.at_end():
            stack.pop()
        elif (tag := reader.peek()) & CONSTRUCTED:
            if len(stack) > MAX_DEPTH:
                raise DecodeError("DER: too deep")
            stack.append(reader.enter(tag))
        else:
            reader.read(tag)


def element(tag: int, *parts: bytes) -> bytes:
    """One element: `tag`, and the concatenated `parts` as its content."""
    content = b"".join(parts)
    size = len(content)
    if size < LONG_LENGTH:
        return bytes((tag, size)) + content
    octets = (size.bit_length() + 7) // 8
    if octets > MAX_LENGTH_OCTETS:
        raise ValueError("DER: content too long")
    return bytes((tag, LONG_LENGTH | octets)) + size.to_bytes(octets) + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of `parts`, in that order."""
    return element(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """SET OF, in DER's order (X.690 section 11.6)."""
    return element(SET, *sorted(parts))


def integer(value: int) -> bytes:
    """A non-negative INTEGER."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return element(OCTET_STRING, value)


def bits(value: bytes) -> bytes:
    """BIT STRING of whole bytes."""
    return element(BIT_STRING, b"\0", value)


def utf8(value: str) -> bytes:
    """UTF8String."""
    return element(UTF8_STRING, value.encode("utf-8"))


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return element(OBJECT_IDENTIFIER, *(_arc(n) for n in (40 * first + second, *rest)))


def _arc(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def time(epoch_s: int) -> bytes:
    """UTCTime from 1950 through 2049, GeneralizedTime otherwise (RFC 5280 section 4.1.2.5)."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=epoch_s)
    text = f"{moment.year:04}{moment:%m%d%H%M%S}Z".encode()
    if 1950 <= moment.year < 2050:
        return element(UTC_TIME, text[2:])
    return element(GENERALIZED_TIME, text)
