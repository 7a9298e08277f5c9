"""Finger minutiae records of ISO/IEC 19794-2:2011: bytes to fields and back.

Strict and lossless: whatever `decode` accepts, `encode` gives back byte for byte. Knows the format
only. Vendor, device, algorithm and certification codes are kept as they are: other bodies give them
out. Holds the record's own integers (pixels at the view's resolution, angles in 1/256 turn).
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from typing_extensions import override

from sdbox_agent.biometrics import fmr
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from sdbox_agent.biometrics.fmr import RecordMinutia

# -- ISO/IEC 19794-2:2011, section 8 (19794-1:2011 for what all parts have in common) ------------

VERSION: Final = b"030\0"
_HEADER: Final = struct.Struct(">4s4sIHB")  # ...length, representations, certification flag
_LENGTH: Final = struct.Struct(">I")  # of a representation, itself included
_TIME: Final = struct.Struct(">HBBBBBH")  # UTC
_DEVICE: Final = struct.Struct(">BHH")
_COUNT: Final = struct.Struct(">B")
_QUALITY: Final = struct.Struct(">BHH")
_CERTIFICATION: Final = struct.Struct(">HB")
_IMPRESSION: Final = struct.Struct(">BBHHBHHBB")  # finger to number of minutiae
_TIME_RANGES: Final = (
    range(1, 0xFFFF),
    range(1, 13),
    range(1, 32),
    range(24),
    range(60),
    range(60),
    range(1000),
)  # year, month, day, hour, minute, second, millisecond
_TIME_ABSENT: Final = (0xFFFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFFFF)
POSITIONS: Final = frozenset({*range(11), 13, 14, 15, *range(40, 51)})  # from 13 on: several
IMPRESSIONS: Final = frozenset({*range(10), 24, 28, 29})
QUALITY_FAILED: Final = 255  # the algorithm gave none
QUALITIES: Final = frozenset({*fmr.PERCENT, QUALITY_FAILED})  # of a finger
ENDING_TYPES: Final = range(2)  # of ridge endings: valley's bifurcation, ridge's end
MINUTIA_BYTES: Final = (5, 6)
MAX_SIDE: Final = 0x3FFF
ANGLE_UNITS: Final = 256
RULES: Final = fmr.ViewRules(
    IMPRESSIONS,
    ANGLE_UNITS,
    QUALITIES | {fmr.NOT_REPORTED},
    last_block_type=3,
    block_counts_its_head=True,
)

# -- ours ----------------------------------------------------------------------------------------

MAX_RECORD_BYTES: Final = 512 * 1024  # 176 views of 255 minutiae are 274 KiB


class Device(NamedTuple):
    """What took the impression: technology, and vendor and type as registered; 0 is unknown."""

    technology: int
    vendor: int
    type: int


class Quality(NamedTuple):
    """A quality, 0 to 100 or QUALITY_FAILED, and whose algorithm says so."""

    value: int
    vendor: int
    algorithm: int


class Certification(NamedTuple):
    """What the device was certified for, and by whom."""

    authority: int
    scheme: int


UNKNOWN_DEVICE: Final = Device(0, 0, 0)


@dataclass(frozen=True, slots=True, repr=False)
class FingerView:
    """One impression of one finger, a "representation".

    `captured` has what is known of year, month, day, hour, minute, second and millisecond, UTC, in
    that order. Minutiae of 5 bytes all have the quality `fmr.NOT_REPORTED`.
    """

    position: int
    number: int
    impression: int
    width: int
    height: int
    x_ppcm: int
    y_ppcm: int
    minutiae: tuple[RecordMinutia, ...]
    minutia_bytes: int = 6
    ending_type: int = 0
    captured: tuple[int, ...] = ()
    device: Device = UNKNOWN_DEVICE
    qualities: tuple[Quality, ...] = ()
    certifications: tuple[Certification, ...] = ()
    extended: bytes = b""

    @override
    def __repr__(self) -> str:
        return f"<FingerView of {len(self.minutiae)}>"


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """A whole record. `certified`: whether each view has room for certifications."""

    views: tuple[FingerView, ...]
    certified: bool = False

    @override
    def __repr__(self) -> str:
        return f"<Record of {len(self.views)} views>"

    def template(self, view: FingerView) -> Template:
        """The view's minutiae in the project's frame (500 pixels per inch, radians).

        A quality that was not reported or failed is 0 there, and the lowest is 1.
        """
        stored = (
            dataclasses.replace(m, quality=max(m.quality, 1) if m.quality in fmr.PERCENT else 0)
            for m in view.minutiae
        )
        return Template(fmr.template_minutiae(stored, view.x_ppcm, view.y_ppcm, ANGLE_UNITS))


def decode(data: bytes) -> Record:
    """Read a record. Raises DecodeError for anything the standard does not allow."""
    if len(data) > MAX_RECORD_BYTES:
        raise DecodeError("record too large")
    if len(data) < _HEADER.size:
        raise DecodeError("header cut short")
    magic, version, length, count, flag = _HEADER.unpack_from(data)
    if magic != fmr.MAGIC or version != VERSION:
        raise DecodeError("not a minutiae record of 2011")
    if length != len(data):
        raise DecodeError("length field is wrong")
    if flag > 1:
        raise DecodeError("certification flag is neither")
    if count > fmr.MAX_VIEWS:
        raise DecodeError("number of views out of range")
    reader = fmr.Reader(data[_HEADER.size :])
    views = tuple(_decode_view(reader, certified=bool(flag)) for _ in range(count))
    if reader.left():
        raise DecodeError("bytes after the last view")
    record = Record(views, bool(flag))
    _check(record)
    return record


def encode(record: Record) -> bytes:
    """Write a record. Raises DecodeError if `decode` would not take it back."""
    _check(record)
    body = b"".join(_encode_view(view, certified=record.certified) for view in record.views)
    length = _HEADER.size + len(body)
    if length > MAX_RECORD_BYTES:
        raise DecodeError("record too large")
    return _HEADER.pack(fmr.MAGIC, VERSION, length, len(record.views), record.certified) + body


# -- views ---------------------------------------------------------------------------------------


def _decode_view(record: fmr.Reader, *, certified: bool) -> FingerView:
    (length,) = record.fields(_LENGTH, "view header")
    if length < _LENGTH.size:
        raise DecodeError("view is shorter than its length field")
    reader = fmr.Reader(record.take(length - _LENGTH.size, "view"))
    captured = _decode_time(reader.fields(_TIME, "view header"))
    device = Device(*reader.fields(_DEVICE, "view header"))
    qualities = [Quality(*fields) for fields in _decode_list(reader, _QUALITY)]
    certifications = _decode_list(reader, _CERTIFICATION) if certified else []
    position, number, x_ppcm, y_ppcm, impression, width, height, packed, count = reader.fields(
        _IMPRESSION, "view header"
    )
    size, ending_type = packed >> 4, packed & 0x0F
    if size not in MINUTIA_BYTES:
        raise DecodeError("length of a minutia is reserved")
    minutiae = fmr.decode_minutiae(reader.take(count * size, "minutiae"), size)
    extended = fmr.read_extended(reader)
    if reader.left():
        raise DecodeError("bytes after a view's end")
    return FingerView(
        position,
        number,
        impression,
        width,
        height,
        x_ppcm,
        y_ppcm,
        minutiae,
        size,
        ending_type,
        captured,
        device,
        tuple(qualities),
        tuple(Certification(*fields) for fields in certifications),
        extended,
    )


def _encode_view(view: FingerView, *, certified: bool) -> bytes:
    head = _TIME.pack(*view.captured, *_TIME_ABSENT[len(view.captured) :])
    head += _DEVICE.pack(*view.device) + _encode_list(view.qualities, _QUALITY)
    if certified:
        head += _encode_list(view.certifications, _CERTIFICATION)
    impression = _IMPRESSION.pack(
        view.position,
        view.number,
        view.x_ppcm,
        view.y_ppcm,
        view.impression,
        view.width,
        view.height,
        view.minutia_bytes << 4 | view.ending_type,
        len(view.minutiae),
    )
    minutiae = fmr.encode_minutiae(view.minutiae, view.minutia_bytes)
    body = head + impression + minutiae + fmr.written_extended(view.extended)
    return _LENGTH.pack(_LENGTH.size + len(body)) + body


def _decode_time(fields: tuple[int, ...]) -> tuple[int, ...]:
    known = len(fields)
    while known and fields[known - 1] == _TIME_ABSENT[known - 1]:
        known -= 1
    return fields[:known]


def _decode_list(reader: fmr.Reader, layout: struct.Struct) -> list[tuple[int, ...]]:
    (count,) = reader.fields(_COUNT, "view header")
    return list(layout.iter_unpack(reader.take(count * layout.size, "view header")))


def _encode_list(entries: tuple[Quality | Certification, ...], layout: struct.Struct) -> bytes:
    return _COUNT.pack(len(entries)) + b"".join(layout.pack(*entry) for entry in entries)


# -- rules ---------------------------------------------------------------------------------------


def _check(record: Record) -> None:
    for view in record.views:
        _check_view(view)
        if view.certifications and not record.certified:
            raise DecodeError("certifications in a record that has none")
    fmr.check_numbers([(view.position, view.number) for view in record.views])


def _check_view(view: FingerView) -> None:
    if view.position not in POSITIONS:
        raise DecodeError("finger position is reserved")
    if view.impression not in IMPRESSIONS:
        raise DecodeError("impression type is reserved")
    if view.ending_type not in ENDING_TYPES or view.minutia_bytes not in MINUTIA_BYTES:
        raise DecodeError("kind of minutiae is reserved")
    if not 0 <= view.number < fmr.MAX_VIEWS_OF_A_FINGER:
        raise DecodeError("too many views of a finger")
    fmr.check_image(view.width, view.height, view.x_ppcm, view.y_ppcm)
    if max(view.width, view.height) > MAX_SIDE:
        raise DecodeError("image too large")
    _check_provenance(view)
    fmr.check_minutiae(view.minutiae, view.width, view.height, RULES)
    rated = any(m.quality != fmr.NOT_REPORTED for m in view.minutiae)
    if rated and view.minutia_bytes == min(MINUTIA_BYTES):
        raise DecodeError("minutia quality has no room")
    for _ in fmr.blocks(view.extended, RULES):
        pass


def _check_provenance(view: FingerView) -> None:
    if len(view.captured) > len(_TIME_RANGES) or any(
        value not in allowed for value, allowed in zip(view.captured, _TIME_RANGES, strict=False)
    ):
        raise DecodeError("capture time out of range")
    for codes, layout in (
        ((view.device,), _DEVICE),
        (view.qualities, _QUALITY),
        (view.certifications, _CERTIFICATION),
    ):
        if len(codes) > 0xFF:
            raise DecodeError("too many qualities or certifications")
        for code in codes:
            _check_fits(code, layout)
    for quality in view.qualities:
        if quality.value not in QUALITIES:
            raise DecodeError("finger quality out of range")


def _check_fits(fields: tuple[int, ...], layout: struct.Struct) -> None:
    try:
        layout.pack(*fields)
    except struct.error:
        raise DecodeError("code out of range") from None
