"""What finger minutiae records have in common, whatever their standard and year.

Minutiae of 14-bit coordinates, areas of extended data blocks, the view as it was until 2005, how
views are numbered. Knows no record's header; where the formats differ in a number, they say it as
`ViewRules`. All integers are big-endian.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from sdbox_agent.biometrics.minutia import FULL_TURN_RAD, PPI, Minutia, MinutiaType
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator

# -- ISO/IEC 19794-2:2005 and :2011, INCITS 378-2004 ---------------------------------------------

MAGIC: Final = b"FMR\0"  # 2005 section 7.3.1
_VIEW: Final = struct.Struct(">BBBB")  # 2005 section 7.4.1
_MINUTIA: Final = {5: struct.Struct(">HHB"), 6: struct.Struct(">HHBB")}  # 2005 section 7.4.2
_LENGTH: Final = struct.Struct(">H")  # 2005 section 7.5.1
_BLOCK: Final = struct.Struct(">HH")  # 2005 section 7.5.1.1: type, length
MIN_PPCM: Final = 99  # pixels per centimetre, 2005 section 7.3.7
MAX_VIEWS: Final = 176  # 11 positions of 16 views each
MAX_VIEWS_OF_A_FINGER: Final = 16  # four bits
MAX_MINUTIAE: Final = 255  # a byte
PERCENT: Final = range(101)  # of a quality
NOT_REPORTED: Final = 254  # 2011: a minutia's quality; so are those of five bytes read here
_COORDINATE_MASK: Final = 0x3FFF
_MAX_POSITION: Final = (
    10  # 2005 section 7.4.1.1, table 2: 0 unknown, 1 right thumb .. 10 left little
)

# -- ours ----------------------------------------------------------------------------------------

CM_PER_INCH: Final = 2.54


@dataclass(frozen=True, slots=True, repr=False)
class RecordMinutia:
    """One minutia as stored: x and y in the record's pixels, angle in the format's units."""

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


@dataclass(frozen=True, slots=True)
class ViewRules:
    """Where the formats differ within a view."""

    impressions: Container[int]
    angle_units: int  # of a full turn
    minutia_qualities: Container[int]
    last_block_type: int  # the last that the standard defines; 0x0001 is its first
    block_counts_its_head: bool  # whether a block's length counts its type and length too


class Reader:
    """Bytes from front to back. Raises DecodeError("... cut short") past their end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        end = self._at + size
        if end > len(self._data):
            raise DecodeError(f"{what} cut short")
        start, self._at = self._at, end
        return self._data[start:end]

    def fields(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        """The next integers, laid out so."""
        return layout.unpack(self.take(layout.size, what))

    def left(self) -> int:
        """How many bytes were not read yet."""
        return len(self._data) - self._at


# -- minutiae ------------------------------------------------------------------------------------


def decode_minutiae(data: bytes, size: int = 6) -> tuple[RecordMinutia, ...]:
    """Minutiae of `size` bytes each, 5 (no quality) or 6. Raises DecodeError for reserved bits."""
    return tuple(_decode_minutia(*fields) for fields in _MINUTIA[size].iter_unpack(data))


def encode_minutiae(minutiae: Iterable[RecordMinutia], size: int = 6) -> bytes:
    """The same minutiae as bytes."""
    pack, fields = _MINUTIA[size].pack, size - 2  # x and y are two bytes each
    return b"".join(pack(*(m.type << 14 | m.x, m.y, m.angle, m.quality)[:fields]) for m in minutiae)


def _decode_minutia(x: int, y: int, angle: int, quality: int = NOT_REPORTED) -> RecordMinutia:
    if x >> 14 not in MinutiaType.__members__.values():
        raise DecodeError("minutia type is reserved")
    if y >> 14:
        raise DecodeError("reserved bits of a minutia are set")
    return RecordMinutia(MinutiaType(x >> 14), x & _COORDINATE_MASK, y, angle, quality)


def check_minutiae(
    minutiae: tuple[RecordMinutia, ...], width: int, height: int, rules: ViewRules
) -> None:
    """Raise DecodeError unless they lie within the image and in range, and there are some."""
    if not 1 <= len(minutiae) <= MAX_MINUTIAE:
        raise DecodeError("number of minutiae out of range")
    width, height = min(width, 1 << 14), min(height, 1 << 14)
    for m in minutiae:
        if not (0 <= m.x < width and 0 <= m.y < height):
            raise DecodeError("minutia outside the image")
        if not 0 <= m.angle < rules.angle_units:
            raise DecodeError("minutia angle out of range")
        if m.quality not in rules.minutia_qualities:
            raise DecodeError("minutia quality out of range")


def template_minutiae(
    minutiae: Iterable[RecordMinutia], x_ppcm: int, y_ppcm: int, angle_units: int
) -> tuple[Minutia, ...]:
    """Stored minutiae in the project's frame (500 pixels per inch, radians)."""
    x_scale, y_scale = (PPI / (ppcm * CM_PER_INCH) for ppcm in (x_ppcm, y_ppcm))
    return tuple(
        Minutia(
            m.x * x_scale, m.y * y_scale, m.angle * FULL_TURN_RAD / angle_units, m.type, m.quality
        )
        for m in minutiae
    )


# -- extended data -------------------------------------------------------------------------------


def read_extended(reader: Reader) -> bytes:
    """The area of extended data blocks that ends a view, without its length."""
    (size,) = reader.fields(_LENGTH, "extended data")
    return reader.take(size, "extended data")


def written_extended(extended: bytes) -> bytes:
    """The same with its length."""
    return _LENGTH.pack(len(extended)) + extended


def block(kind: int, data: bytes, rules: ViewRules) -> bytes:
    """One block of extended data. Raises DecodeError if its length has no room."""
    length = len(data) + (_BLOCK.size if rules.block_counts_its_head else 0)
    if length > 0xFFFF:
        raise DecodeError("extended block too large")
    return _BLOCK.pack(kind, length) + data


def blocks(extended: bytes, rules: ViewRules) -> Iterator[tuple[int, bytes]]:
    """Type and data of each block of an area.

    Raises DecodeError unless they fill it, and for types that the standard keeps for itself.
    """
    if len(extended) > 0xFFFF:
        raise DecodeError("extended data too large")
    head = _BLOCK.size if rules.block_counts_its_head else 0
    reader = Reader(extended)
    while reader.left():
        kind, length = reader.fields(_BLOCK, "extended block")
        if kind & 0xFF == 0 or rules.last_block_type < kind <= 0xFF:
            raise DecodeError("extended block type is reserved")
        if length < head:
            raise DecodeError("extended block is shorter than its head")
        yield kind, reader.take(length - head, "extended block")


# -- views ---------------------------------------------------------------------------------------


def decode_view(reader: Reader) -> FingerView:
    """A view of the layout of 2004 and 2005; its values are checked by `check_view`."""
    position, packed, quality, count = reader.fields(_VIEW, "view header")
    minutiae = decode_minutiae(reader.take(count * _MINUTIA[6].size, "minutiae"))
    extended = read_extended(reader)
    return FingerView(position, packed >> 4, packed & 0x0F, quality, minutiae, extended)


def encode_view(view: FingerView) -> bytes:
    """The same view as bytes."""
    packed = view.number << 4 | view.impression
    head = _VIEW.pack(view.position, packed, view.quality, len(view.minutiae))
    return head + encode_minutiae(view.minutiae) + written_extended(view.extended)


def check_view(view: FingerView, width: int, height: int, rules: ViewRules) -> None:
    """Raise DecodeError unless a view of the layout of 2004 and 2005 is as its standard says."""
    if not 0 <= view.position <= _MAX_POSITION:
        raise DecodeError("finger position out of range")
    if not 0 <= view.number < MAX_VIEWS_OF_A_FINGER:
        raise DecodeError("too many views of a finger")
    if view.impression not in rules.impressions:
        raise DecodeError("impression type is reserved")
    if view.quality not in PERCENT:
        raise DecodeError("finger quality out of range")
    check_minutiae(view.minutiae, width, height, rules)
    for _ in blocks(view.extended, rules):
        pass


def check_image(width: int, height: int, x_ppcm: int, y_ppcm: int) -> None:
    """Raise DecodeError unless an image can have this size and this resolution."""
    if not (0 < width <= 0xFFFF and 0 < height <= 0xFFFF):
        raise DecodeError("image has no size")
    if not all(MIN_PPCM <= ppcm <= 0xFFFF for ppcm in (x_ppcm, y_ppcm)):
        raise DecodeError("resolution out of range")


def check_numbers(views: Collection[tuple[int, int]]) -> None:
    """Raise DecodeError unless each finger's views are numbered from zero, in their order."""
    if not 1 <= len(views) <= MAX_VIEWS:
        raise DecodeError("number of views out of range")
    seen: Counter[int] = Counter()
    for position, number in views:
        if number != seen[position]:
            raise DecodeError("views are not numbered from zero")
        seen[position] += 1
