"""Finger minutiae records of ISO/IEC 19794-2:2005, "record format": bytes to fields and back.

Strict and lossless: whatever `decode` accepts, `encode` gives back byte for byte. Knows the format
only; what a minutia means to a comparison, and whether there are enough of them, is said elsewhere.
Holds the record's own integers (pixels at the record's resolution, angles in 1/256 turn).
"""

from __future__ import annotations

import itertools
import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from sdbox_agent.biometrics.minutia import (
    FULL_TURN_RAD,
    PPI,
    Minutia,
    MinutiaType,
    Template,
    turned,
)
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# -- ISO/IEC 19794-2:2005 ------------------------------------------------------------------------

MAGIC: Final = b"FMR\0"  # section 7.3.1
VERSION: Final = b" 20\0"  # section 7.3.2
_HEADER: Final = struct.Struct(">4s4sIHHHHHBB")  # section 7.3
_VIEW: Final = struct.Struct(">BBBB")  # section 7.4.1
_MINUTIA: Final = struct.Struct(">HHBB")  # section 7.4.2
_LENGTH: Final = struct.Struct(">H")  # section 7.5.1
_BLOCK: Final = struct.Struct(">HH")  # section 7.5.1.1: type, length of the data that follow
MIN_PPCM: Final = 99  # pixels per centimetre, section 7.3.7
MAX_POSITION: Final = 10  # section 7.4.1.1, table 2: 0 unknown, 1 right thumb .. 10 left little
MAX_VIEWS: Final = 176  # 11 positions of 16 views each
MAX_VIEWS_OF_A_FINGER: Final = 16  # four bits
IMPRESSIONS: Final = frozenset({0, 1, 2, 3, 8})  # section 7.4.1.3, table 3
CERTIFICATION_BITS: Final = 0x8000  # section 7.3.4
RESERVED_DEVICE_BITS: Final = 0x7000
ANGLE_UNITS: Final = 256  # section 7.4.2.4: 1.40625 degrees each
_COORDINATE_MASK: Final = 0x3FFF
_MAX_QUALITY: Final = 100
_MAX_MINUTIAE: Final = 255

# -- ours ----------------------------------------------------------------------------------------

MAX_RECORD_BYTES: Final = 64 * 1024  # the limit of a sealed reference
CM_PER_INCH: Final = 2.54
PPCM_500_PPI: Final = 197  # how this format writes 500 pixels per inch
_STORED_SCALE: Final = PPCM_500_PPI * CM_PER_INCH / PPI  # 1.0008: 197 is rounded up


@dataclass(frozen=True, slots=True, repr=False)
class RecordMinutia:
    """One minutia as stored: x and y in the record's pixels, angle in 1/256 turn."""

    type: MinutiaType
    x: int
    y: int
    angle: int
    quality: int

    @override
    def __repr__(self) -> str:
        return "<RecordMinutia>"


@dataclass(frozen=True, slots=True, repr=False)
class FingerView:
    """One impression of one finger. `extended` is kept as read; its blocks are well-formed."""

    position: int
    number: int
    impression: int
    quality: int
    minutiae: tuple[RecordMinutia, ...]
    extended: bytes = b""

    @override
    def __repr__(self) -> str:
        return f"<FingerView of {len(self.minutiae)}>"


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """A whole record: image size and resolution, then the views."""

    width: int
    height: int
    x_ppcm: int
    y_ppcm: int
    views: tuple[FingerView, ...]
    certification_and_device: int = field(default=0)

    @override
    def __repr__(self) -> str:
        return f"<Record of {len(self.views)} views>"

    def template(self, view: FingerView) -> Template:
        """The view's minutiae in the project's frame (500 pixels per inch, radians)."""
        x_scale = PPI / (self.x_ppcm * CM_PER_INCH)
        y_scale = PPI / (self.y_ppcm * CM_PER_INCH)
        return Template(
            tuple(
                Minutia(
                    m.x * x_scale,
                    m.y * y_scale,
                    m.angle * FULL_TURN_RAD / ANGLE_UNITS,
                    m.type,
                    m.quality,
                )
                for m in view.minutiae
            )
        )


def decode(data: bytes) -> Record:
    """Read a record. Raises DecodeError for anything the standard does not allow."""
    if len(data) > MAX_RECORD_BYTES:
        raise DecodeError("record too large")
    if len(data) < _HEADER.size:
        raise DecodeError("header cut short")
    magic, version, length, device, width, height, x_ppcm, y_ppcm, count, zero = (
        _HEADER.unpack_from(data)
    )
    if magic != MAGIC or version != VERSION:
        raise DecodeError("not a minutiae record of 2005")
    if length != len(data):
        raise DecodeError("length field is wrong")
    record = Record(width, height, x_ppcm, y_ppcm, (), device)
    if zero != 0:
        raise DecodeError("reserved byte is set")
    views, offset = [], _HEADER.size
    for _ in range(count):
        view, offset = _decode_view(data, offset)
        views.append(view)
    if offset != length:
        raise DecodeError("bytes after the last view")
    record = Record(width, height, x_ppcm, y_ppcm, tuple(views), device)
    _check(record)
    return record


def encode(record: Record) -> bytes:
    """Write a record. Raises DecodeError if `decode` would not take it back."""
    _check(record)
    body = b"".join(_encode_view(view) for view in record.views)
    length = _HEADER.size + len(body)
    if length > MAX_RECORD_BYTES:
        raise DecodeError("record too large")
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        length,
        record.certification_and_device,
        record.width,
        record.height,
        record.x_ppcm,
        record.y_ppcm,
        len(record.views),
        0,
    )
    return head + body


def record_of(fingers: Mapping[int, Sequence[Template]], width_px: int, height_px: int) -> Record:
    """A record at 500 pixels per inch from templates by finger position, in the order given.

    Raises DecodeError if a minutia lies outside the image, or there are too many.
    """
    views = [
        FingerView(position, number, 0, _mean_quality(template), _stored(template))
        for position, templates in fingers.items()
        for number, template in enumerate(templates)
    ]
    width, height = (math.ceil(size_px * _STORED_SCALE) for size_px in (width_px, height_px))
    record = Record(width, height, PPCM_500_PPI, PPCM_500_PPI, tuple(views))
    _check(record)
    return record


# -- views ---------------------------------------------------------------------------------------


def _decode_view(data: bytes, offset: int) -> tuple[FingerView, int]:
    end = offset + _VIEW.size
    if end > len(data):
        raise DecodeError("view header cut short")
    position, packed, quality, count = _VIEW.unpack_from(data, offset)
    offset, end = end, end + count * _MINUTIA.size
    if end + _LENGTH.size > len(data):
        raise DecodeError("minutiae cut short")
    minutiae = tuple(_decode_minutia(*fields) for fields in _MINUTIA.iter_unpack(data[offset:end]))
    (extended_bytes,) = _LENGTH.unpack_from(data, end)
    start, end = end + _LENGTH.size, end + _LENGTH.size + extended_bytes
    if end > len(data):
        raise DecodeError("extended data cut short")
    view = FingerView(position, packed >> 4, packed & 0x0F, quality, minutiae, data[start:end])
    return view, end


def _decode_minutia(x: int, y: int, angle: int, quality: int) -> RecordMinutia:
    if x >> 14 not in MinutiaType.__members__.values():
        raise DecodeError("minutia type is reserved")
    if y >> 14:
        raise DecodeError("reserved bits of a minutia are set")
    return RecordMinutia(MinutiaType(x >> 14), x & _COORDINATE_MASK, y, angle, quality)


def _encode_view(view: FingerView) -> bytes:
    packed = view.number << 4 | view.impression
    minutiae = (_MINUTIA.pack(m.type << 14 | m.x, m.y, m.angle, m.quality) for m in view.minutiae)
    return b"".join(
        (
            _VIEW.pack(view.position, packed, view.quality, len(view.minutiae)),
            *minutiae,
            _LENGTH.pack(len(view.extended)),
            view.extended,
        )
    )


# -- rules ---------------------------------------------------------------------------------------


def _check(record: Record) -> None:
    if not (0 < record.width <= 0xFFFF and 0 < record.height <= 0xFFFF):
        raise DecodeError("image has no size")
    if not all(MIN_PPCM <= ppcm <= 0xFFFF for ppcm in (record.x_ppcm, record.y_ppcm)):
        raise DecodeError("resolution out of range")
    if not 0 <= record.certification_and_device <= 0xFFFF:
        raise DecodeError("device field out of range")
    if record.certification_and_device & RESERVED_DEVICE_BITS:
        raise DecodeError("reserved certification bits are set")
    if not 1 <= len(record.views) <= MAX_VIEWS:
        raise DecodeError("number of views out of range")
    for view in record.views:
        _check_view(view, record)
    runs = [(p, list(group)) for p, group in itertools.groupby(record.views, _position)]
    if max(Counter(position for position, _ in runs).values()) > 1:
        raise DecodeError("views of one finger are not together")
    for _, group in runs:
        if [view.number for view in group] != list(range(len(group))):
            raise DecodeError("views are not numbered from zero")


def _position(view: FingerView) -> int:
    return view.position


def _check_view(view: FingerView, record: Record) -> None:
    if not 0 <= view.position <= MAX_POSITION:
        raise DecodeError("finger position out of range")
    if not 0 <= view.number < MAX_VIEWS_OF_A_FINGER:
        raise DecodeError("too many views of a finger")
    if view.impression not in IMPRESSIONS:
        raise DecodeError("impression type is reserved")
    if not 0 <= view.quality <= _MAX_QUALITY:
        raise DecodeError("finger quality out of range")
    if not 1 <= len(view.minutiae) <= _MAX_MINUTIAE:
        raise DecodeError("number of minutiae out of range")
    width, height = min(record.width, 1 << 14), min(record.height, 1 << 14)
    for m in view.minutiae:
        if not (0 <= m.x < width and 0 <= m.y < height):
            raise DecodeError("minutia outside the image")
        if not (0 <= m.angle < ANGLE_UNITS and 0 <= m.quality <= _MAX_QUALITY):
            raise DecodeError("minutia angle or quality out of range")
    _check_extended(view.extended)


def _check_extended(extended: bytes) -> None:
    if len(extended) > 0xFFFF:
        raise DecodeError("extended data too large")
    offset = 0
    while offset < len(extended):
        if offset + _BLOCK.size > len(extended):
            raise DecodeError("extended block cut short")
        kind, length = _BLOCK.unpack_from(extended, offset)
        if kind == 0:
            raise DecodeError("extended block type is reserved")
        offset += _BLOCK.size + length
    if offset != len(extended):
        raise DecodeError("extended block runs past its area")


def _stored(template: Template) -> tuple[RecordMinutia, ...]:
    return tuple(
        RecordMinutia(
            m.type,
            math.floor(m.x_px * _STORED_SCALE + 0.5),
            math.floor(m.y_px * _STORED_SCALE + 0.5),
            math.floor(turned(m.angle_rad) * ANGLE_UNITS / FULL_TURN_RAD + 0.5) % ANGLE_UNITS,
            m.quality,
        )
        for m in template.minutiae
    )


def _mean_quality(template: Template) -> int:
    known = [m.quality for m in template.minutiae if m.quality]
    return round(sum(known) / len(known)) if known else 0
