"""Finger minutiae of ISO/IEC 19794-2:2005, "compact size card format": bytes to fields and back.

Three bytes a minutia and nothing else: no header, no count, no order of its own. Strict and
lossless: whatever `decode` accepts, `encode` gives back byte for byte. Holds the format's own
integers; which minutiae go to which card, and in what order, is said in `oncard`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from sdbox_agent.biometrics.minutia import MinutiaType
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

# -- ISO/IEC 19794-2:2005 section 8.2, compact size --------------------------------------------

_MINUTIA: Final = struct.Struct(">BBB")  # x, y, then type in 2 bits and angle in 6
UNIT_MM: Final = 0.1  # of x and y, counted as in records: from the upper left, y down
MAX_COORDINATE: Final = 255  # 25.5 mm
ANGLE_UNITS: Final = 64  # 5.625 degrees each, counter-clockwise from +x as seen
_ANGLE_MASK: Final = 0x3F
_TYPE_SHIFT: Final = 6
MINUTIA_BYTES: Final = _MINUTIA.size

# -- ours ----------------------------------------------------------------------------------------

MAX_MINUTIAE: Final = 255  # a BIT's byte can ask for no more


@dataclass(frozen=True, slots=True, repr=False)
class CompactMinutia:
    """One minutia as a card takes it: x and y in 0.1 mm, angle in 1/64 turn."""

    x: int
    y: int
    angle: int
    type: MinutiaType

    @override
    def __repr__(self) -> str:
        return "<CompactMinutia>"


def decode(data: bytes) -> tuple[CompactMinutia, ...]:
    """Read a list of minutiae. Raises DecodeError for anything that is none, and for no minutia."""
    if len(data) % MINUTIA_BYTES:
        raise DecodeError("minutia cut short")
    if not 1 <= len(data) // MINUTIA_BYTES <= MAX_MINUTIAE:
        raise DecodeError("number of minutiae out of range")
    return tuple(_decode_minutia(*fields) for fields in _MINUTIA.iter_unpack(data))


def encode(minutiae: Sequence[CompactMinutia]) -> bytes:
    """Write a list of minutiae. Raises DecodeError if `decode` would not take it back."""
    if not 1 <= len(minutiae) <= MAX_MINUTIAE:
        raise DecodeError("number of minutiae out of range")
    for m in minutiae:
        if not (0 <= m.x <= MAX_COORDINATE and 0 <= m.y <= MAX_COORDINATE):
            raise DecodeError("minutia outside the format's area")
        if not 0 <= m.angle < ANGLE_UNITS:
            raise DecodeError("minutia angle out of range")
    return b"".join(_MINUTIA.pack(m.x, m.y, m.type << _TYPE_SHIFT | m.angle) for m in minutiae)


def _decode_minutia(x: int, y: int, packed: int) -> CompactMinutia:
    kind = packed >> _TYPE_SHIFT
    if kind not in MinutiaType.__members__.values():
        raise DecodeError("minutia type is reserved")
    return CompactMinutia(x, y, packed & _ANGLE_MASK, MinutiaType(kind))
