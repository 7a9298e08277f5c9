"""Finger minutiae records of INCITS 378-2004: bytes to fields, for reading only.

Magic and version are those of ISO/IEC 19794-2:2005, which came of it: nothing but the length field
tells them apart, so who reads must know what he has. No bytes are a record to both readers. Keeps
every field; angles are in units of 2 degrees.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from sdbox_agent.biometrics import fmr
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.errors import DecodeError

# -- INCITS 378-2004 -----------------------------------------------------------------------------

VERSION: Final = b" 20\0"  # section 6.4.2
_START: Final = struct.Struct(">4s4s")
_SHORT: Final = struct.Struct(">H")  # section 6.4.3: up to 65,535 bytes; or two of zero, and
_LONG: Final = struct.Struct(">I")  # the length of a longer record
_REST: Final = struct.Struct(">HHHHHHHBB")  # sections 6.4.4 to 6.4.11
RESERVED_DEVICE_BITS: Final = 0x7000  # section 6.4.5
ANGLE_UNITS: Final = 180  # section 6.5.2.3: 2 degrees each, counter-clockwise from +x
RULES: Final = fmr.ViewRules(
    frozenset({0, 1, 2, 3, 8, 9}),  # section 6.5.1.3; 9: live, without contact
    ANGLE_UNITS,
    fmr.PERCENT,
    last_block_type=2,  # section 6.6: cores and deltas
    block_counts_its_head=True,  # section 6.6.1.2
)

# -- ours ----------------------------------------------------------------------------------------

MAX_RECORD_BYTES: Final = 512 * 1024  # 176 views of 255 minutiae are 271 KiB


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """A whole record: who made it, image size and resolution, then the views."""

    owner: int  # who made it, registered with IBIA; never zero
    product: int
    compliance_and_device: int
    width: int
    height: int
    x_ppcm: int
    y_ppcm: int
    views: tuple[fmr.FingerView, ...]

    @override
    def __repr__(self) -> str:
        return f"<Record of {len(self.views)} views>"

    def template(self, view: fmr.FingerView) -> Template:
        """The view's minutiae in the project's frame (500 pixels per inch, radians)."""
        return Template(fmr.template_minutiae(view.minutiae, self.x_ppcm, self.y_ppcm, ANGLE_UNITS))


def decode(data: bytes) -> Record:
    """Read a record. Raises DecodeError for anything the standard does not allow.

    Also for a view of no minutiae and for less than 99 pixels per centimetre, which it does allow:
    neither can be compared.
    """
    if len(data) > MAX_RECORD_BYTES:
        raise DecodeError("record too large")
    reader = fmr.Reader(data)
    if reader.take(_START.size, "header") != fmr.MAGIC + VERSION:
        raise DecodeError("not a minutiae record of 2004")
    _check_length(reader, len(data))
    owner, product, device, width, height, x_ppcm, y_ppcm, count, zero = reader.fields(
        _REST, "header"
    )
    if zero != 0:
        raise DecodeError("reserved byte is set")
    if owner == 0:
        raise DecodeError("owner of the format is missing")
    if device & RESERVED_DEVICE_BITS:
        raise DecodeError("reserved compliance bits are set")
    fmr.check_image(width, height, x_ppcm, y_ppcm)
    views = tuple(fmr.decode_view(reader) for _ in range(count))
    if reader.left():
        raise DecodeError("bytes after the last view")
    for view in views:
        fmr.check_view(view, width, height, RULES)
    fmr.check_numbers([(view.position, view.number) for view in views])
    return Record(owner, product, device, width, height, x_ppcm, y_ppcm, views)


def _check_length(reader: fmr.Reader, size: int) -> None:
    (length,) = reader.fields(_SHORT, "header")
    if length == 0:
        (length,) = reader.fields(_LONG, "header")
        if length <= 0xFFFF:  # has its two bytes; here it could be a length of 2005, or a lie
            raise DecodeError("length field is ambiguous")
    if length != size:
        raise DecodeError("length field is wrong")
