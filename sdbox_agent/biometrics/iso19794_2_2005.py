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

from sdbox_agent.biometrics import extension, fmr
from sdbox_agent.biometrics.fmr import FingerView, RecordMinutia
from sdbox_agent.biometrics.minutia import FULL_TURN_RAD, PPI, Template, turned
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdbox_agent.biometrics.minutia import Minutia

# -- ISO/IEC 19794-2:2005 ------------------------------------------------------------------------

VERSION: Final = b" 20\0"  # section 7.3.2
_HEADER: Final = struct.Struct(">4s4sIHHHHHBB")  # section 7.3
IMPRESSIONS: Final = frozenset({0, 1, 2, 3, 8})  # section 7.4.1.3, table 3
RESERVED_DEVICE_BITS: Final = 0x7000  # section 7.3.4, beside the certification bit 0x8000
ANGLE_UNITS: Final = 256  # section 7.4.2.4: 1.40625 degrees each
RULES: Final = fmr.ViewRules(
    IMPRESSIONS,
    ANGLE_UNITS,
    fmr.PERCENT,
    last_block_type=3,  # section 7.5: zonal quality
    block_counts_its_head=False,  # section 7.5.1.1, and annex C's example
)

# -- ours ----------------------------------------------------------------------------------------

MAX_RECORD_BYTES: Final = 64 * 1024  # the limit of a sealed reference
PPCM_500_PPI: Final = 197  # how this format writes 500 pixels per inch
_STORED_SCALE: Final = PPCM_500_PPI * fmr.CM_PER_INCH / PPI  # 1.0008: 197 is rounded up


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
        """The view in the project's frame (500 pixels per inch, radians), and what we added."""
        first, second = (
            fmr.template_minutiae(minutiae, self.x_ppcm, self.y_ppcm, ANGLE_UNITS)
            for minutiae in (view.minutiae, extension.decode(view.extended, RULES))
        )
        return Template(first, second)


def decode(data: bytes) -> Record:
    """Read a record. Raises DecodeError for anything the standard does not allow."""
    if len(data) > MAX_RECORD_BYTES:
        raise DecodeError("record too large")
    if len(data) < _HEADER.size:
        raise DecodeError("header cut short")
    magic, version, length, device, width, height, x_ppcm, y_ppcm, count, zero = (
        _HEADER.unpack_from(data)
    )
    if magic != fmr.MAGIC or version != VERSION:
        raise DecodeError("not a minutiae record of 2005")
    if length != len(data):
        raise DecodeError("length field is wrong")
    if zero != 0:
        raise DecodeError("reserved byte is set")
    reader = fmr.Reader(data[_HEADER.size :])
    views = tuple(fmr.decode_view(reader) for _ in range(count))
    if reader.left():
        raise DecodeError("bytes after the last view")
    record = Record(width, height, x_ppcm, y_ppcm, views, device)
    _check(record)
    return record


def encode(record: Record) -> bytes:
    """Write a record. Raises DecodeError if `decode` would not take it back."""
    _check(record)
    body = b"".join(fmr.encode_view(view) for view in record.views)
    length = _HEADER.size + len(body)
    if length > MAX_RECORD_BYTES:
        raise DecodeError("record too large")
    head = _HEADER.pack(
        fmr.MAGIC,
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
        _view_of(position, number, template)
        for position, templates in fingers.items()
        for number, template in enumerate(templates)
    ]
    width, height = (math.ceil(size_px * _STORED_SCALE) for size_px in (width_px, height_px))
    record = Record(width, height, PPCM_500_PPI, PPCM_500_PPI, tuple(views))
    _check(record)
    return record


def _check(record: Record) -> None:
    fmr.check_image(record.width, record.height, record.x_ppcm, record.y_ppcm)
    if not 0 <= record.certification_and_device <= 0xFFFF:
        raise DecodeError("device field out of range")
    if record.certification_and_device & RESERVED_DEVICE_BITS:
        raise DecodeError("reserved certification bits are set")
    for view in record.views:
        fmr.check_view(view, record.width, record.height, RULES)
        second = extension.decode(view.extended, RULES)
        if second:
            fmr.check_minutiae(second, record.width, record.height, RULES)
    fmr.check_numbers([(view.position, view.number) for view in record.views])
    runs = Counter(position for position, _ in itertools.groupby(v.position for v in record.views))
    if max(runs.values()) > 1:
        raise DecodeError("views of one finger are not together")


def _view_of(position: int, number: int, template: Template) -> FingerView:
    return FingerView(
        position,
        number,
        0,
        _mean_quality(template),
        _stored(template.minutiae),
        extension.encode(_stored(template.second), RULES),
    )


def _stored(minutiae: tuple[Minutia, ...]) -> tuple[RecordMinutia, ...]:
    return tuple(
        RecordMinutia(
            m.type,
            math.floor(m.x_px * _STORED_SCALE + 0.5),
            math.floor(m.y_px * _STORED_SCALE + 0.5),
            math.floor(turned(m.angle_rad) * ANGLE_UNITS / FULL_TURN_RAD + 0.5) % ANGLE_UNITS,
            m.quality,
        )
        for m in minutiae
    )


def _mean_quality(template: Template) -> int:
    known = [m.quality for m in template.minutiae if m.quality]
    return round(sum(known) / len(known)) if known else 0
