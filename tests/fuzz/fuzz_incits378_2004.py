"""Records of INCITS 378-2004: read, or refused by DecodeError; never a record of 2005 too."""

import contextlib
import struct

from sdbox_agent.biometrics import fmr, iso19794_2_2005
from sdbox_agent.biometrics import incits378_2004 as incits
from sdbox_agent.errors import DecodeError
from tests.biometrics import published

PARSERS = (incits, fmr.Reader, fmr.decode_view)
HEADER_BYTES = 26
FEW = ((published.E, 100, 200, 45, 99), (published.B, 1, 511, 179, 0))
VIEW = published.view(2, 80, FEW)
GOOD = published.of_2004(VIEW)
TWO = published.of_2004(
    VIEW, published.view(2, 80, FEW, packed=0x10), published.view(7, 80, FEW, packed=0x09)
)


def _at(place: int, form: str, value: int | bytes, data: bytes = GOOD) -> bytes:
    """One field set to something else."""
    spoilt = bytearray(data)
    struct.pack_into(form, spoilt, place, value)
    return bytes(spoilt)


def _with(kind: int, data: bytes, counted: int = 4) -> bytes:
    """A record whose view has an extended block."""
    return published.of_2004(published.view(2, 80, FEW, published.extended(kind, data, counted)))


def _long() -> bytes:
    many = tuple((published.O, x, x, x, 0) for x in range(128))
    views = (published.view(p, 0, many, packed=n << 4) for p in range(11) for n in range(8))
    return published.of_2004(*views)


SEEDS: list[bytes] = [
    GOOD,
    TWO,
    _with(0x0221, b"abcdef"),
    _long(),
    bytes(incits.MAX_RECORD_BYTES + 1),
    published.printed_2004(),
    published.printed_2005(),
    *(GOOD[:size] for size in (7, 9, 20)),
    GOOD[:8] + struct.pack(">HI", 0, len(GOOD) + 4) + GOOD[10:],  # ambiguous
    _at(4, ">4s", b"030\0"),
    _at(8, ">H", 1),  # its length
    _at(10, ">H", 0),  # no owner
    _at(14, ">H", 0x1000),  # reserved bits
    _at(16, ">H", 0),  # no width
    _at(16, ">H", 10),  # minutiae outside
    _at(20, ">H", 98),  # resolution
    _at(24, ">B", 0),  # a view too few, two too many
    _at(24, ">B", 3),
    _at(24, ">B", 0, GOOD[:8] + struct.pack(">H", HEADER_BYTES) + GOOD[10:HEADER_BYTES]),
    _at(25, ">B", 1),  # reserved
    _at(HEADER_BYTES, ">B", 11),  # finger
    _at(HEADER_BYTES + 1, ">B", 0x07),  # impression
    _at(HEADER_BYTES + 1, ">B", 0x10),  # not numbered from zero
    _at(HEADER_BYTES + 2, ">B", 101),  # quality
    _at(HEADER_BYTES + 3, ">B", 9),  # more minutiae than there are
    published.of_2004(published.view(2, 80, ())),
    _at(HEADER_BYTES + 4, ">B", 0xC0),  # type 3
    _at(HEADER_BYTES + 6, ">B", 0x40),  # reserved bits of y
    _at(HEADER_BYTES + 8, ">B", 180),  # angle
    _at(HEADER_BYTES + 9, ">B", 101),  # a minutia's quality
    *(_with(kind, b"xx") for kind in (0, 3, 0x0100)),
    *(_with(0x0221, b"xx", counted) for counted in (0, 9)),
    _at(len(GOOD) - 2, ">H", 9),
]


def target(data: bytes) -> None:
    """A record is refused by DecodeError, or read; what is read is no record of 2005."""
    try:
        record = incits.decode(data)
    except DecodeError:
        return
    assert repr(record) == f"<Record of {len(record.views)} views>"
    for view in record.views:
        if len(record.template(view).minutiae) != len(view.minutiae):
            raise AssertionError("a minutia was lost")
        if fmr.encode_view(view) not in data:
            raise AssertionError("a view changed on its way")
    with contextlib.suppress(DecodeError):
        iso19794_2_2005.decode(data)
        raise AssertionError("a record of two formats")
