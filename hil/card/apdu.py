"""Command and response APDUs (ISO/IEC 7816-4:2020, 5.1 to 5.3), short and extended.

Knows the four cases and the status words a card answers with. Does not know any instruction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

HEADER_BYTES = 4
# ISO/IEC 7816-4, 5.2: an Le field of zeros asks for as much as there is, up to these.
SHORT_NE_MAX = 256
EXTENDED_NE_MAX = 65_536


class Sw(IntEnum):
    """Status words this card gives (SP 800-73-5 part 1, "Status words"; ISO/IEC 7816-4, 5.6)."""

    OK = 0x9000
    MORE = 0x6100
    TRIES_LEFT = 0x63C0
    WRONG_LENGTH = 0x6700
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882
    CHAINING_NOT_SUPPORTED = 0x6884
    SECURITY_STATUS = 0x6982
    BLOCKED = 0x6983
    CONDITIONS_OF_USE = 0x6985
    BAD_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    NOT_FOUND = 0x6A82
    BAD_PARAMETERS = 0x6A86
    REFERENCE_NOT_FOUND = 0x6A88
    INSTRUCTION_NOT_SUPPORTED = 0x6D00
    CLASS_NOT_SUPPORTED = 0x6E00
    NO_DIAGNOSIS = 0x6F00


class Refusal(Exception):  # noqa: N818 - it is the card's ordinary "no", not an error of ours
    """The card answers this status word and no data."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"SW {sw:04X}")
        self.sw = int(sw)


@dataclass(frozen=True, slots=True)
class Command:
    """A command APDU; `ne` is the most response bytes wanted, 0 where the Le field is absent."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = field(default=b"", repr=False)
    ne: int = 0

    @property
    def p1p2(self) -> int:
        """Both parameters as the one number they often are."""
        return self.p1 << 8 | self.p2


@dataclass(frozen=True, slots=True)
class Reply:
    """A response APDU before the chip cuts it to what was asked for."""

    data: bytes = field(default=b"", repr=False)
    sw: int = Sw.OK

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return self.data + self.sw.to_bytes(2, "big")


def parse(raw: bytes) -> Command:
    """A command APDU of any of the four cases, short or extended.

    Raises:
        Refusal: 6700, the length fields do not agree with the bytes.
    """
    if len(raw) < HEADER_BYTES:
        raise Refusal(Sw.WRONG_LENGTH)
    head, body = raw[:HEADER_BYTES], raw[HEADER_BYTES:]
    if len(body) >= 3 and body[0] == 0:
        data, ne = _fields(body[1:], width=2, ne_max=EXTENDED_NE_MAX)
    else:
        data, ne = _fields(body, width=1, ne_max=SHORT_NE_MAX)
    cla, ins, p1, p2 = head
    return Command(cla, ins, p1, p2, data, ne)


def _fields(body: bytes, *, width: int, ne_max: int) -> tuple[bytes, int]:
    """[Lc data] [Le], each length field `width` bytes."""
    if not body:
        return b"", 0
    first = int.from_bytes(body[:width], "big")
    if len(body) == width:
        return b"", first or ne_max
    end = width + first
    if first == 0 or len(body) not in (end, end + width):
        raise Refusal(Sw.WRONG_LENGTH)
    if len(body) == end:
        return body[width:], 0
    return body[width:end], int.from_bytes(body[end:], "big") or ne_max
