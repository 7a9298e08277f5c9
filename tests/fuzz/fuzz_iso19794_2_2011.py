"""Records of ISO/IEC 19794-2:2011: kept byte for byte, or refused by DecodeError."""

import contextlib
import dataclasses
import struct
from collections.abc import Iterator

from sdbox_agent.biometrics import fmr
from sdbox_agent.biometrics import iso19794_2_2011 as iso
from sdbox_agent.errors import DecodeError
from tests.biometrics import published

PARSERS = (iso, fmr.Reader, fmr.blocks)
VIEW = 15  # where the first view starts
IMPRESSION = VIEW + 4 + 9 + 5 + 1  # without qualities
FEW = ((published.E, 100, 200, 64, 99), (published.B, 1, 511, 255, 0))
GOOD = published.of_2011(published.representation(2, FEW))


def _at(place: int, form: str, value: int | bytes, data: bytes = GOOD) -> bytes:
    """One field set to something else."""
    spoilt = bytearray(data)
    struct.pack_into(form, spoilt, place, value)
    return bytes(spoilt)


def _one(**kinds: object) -> bytes:
    """A record of one view."""
    certified = kinds.get("certifications") is not None
    return published.of_2011(published.representation(2, FEW, **kinds), certified=certified)


SEEDS: list[bytes] = [
    GOOD,
    published.printed_2011(0),
    published.printed_2011(1),
    _one(size=5, captured=(2025, 12, 31, 255, 255, 255, 65535)),
    _one(captured=(65535, 255, 255, 255, 255, 255, 65535), qualities=[(255, 1, 2), (0, 3, 4)]),
    _one(certifications=[(1, 2), (3, 4)], area=published.extended(0x0221, b"abc", 4)),
    bytes(iso.MAX_RECORD_BYTES + 1),
    *(GOOD[:size] for size in (0, 14, 16)),
    *(_at(8, ">I", size, GOOD[:size]) for size in (16, 20, 40)),
    _at(4, ">4s", b" 20\0"),
    _at(8, ">I", 1),  # its length
    *(_at(12, ">H", count) for count in (0, 2, 177)),
    _at(8, ">I", VIEW, _at(12, ">H", 0)[:VIEW]),  # no views
    *(_at(14, ">B", flag) for flag in (1, 2)),
    *(_at(VIEW, ">I", size) for size in (3, 20, 255)),
    published.of_2011(_at(0, ">I", 51, published.representation(2, FEW) + b"\0")),
    _at(VIEW + 4, ">H", 0),  # its year
    _at(VIEW + 4, ">H", 0xFFFF),
    _at(VIEW + 6, ">B", 13),
    _one(qualities=[(101, 0, 0)]),
    _at(IMPRESSION - 1, ">B", 200),
    _at(IMPRESSION, ">B", 11),  # finger
    *(_at(IMPRESSION + 1, ">B", number) for number in (1, 16)),
    _at(IMPRESSION + 2, ">H", 98),  # resolution
    _at(IMPRESSION + 6, ">B", 10),  # impression
    *(_at(IMPRESSION + 7, ">H", width) for width in (0, 10, 0x4000)),
    *(_at(IMPRESSION + 11, ">B", kind) for kind in (0x70, 0x62)),
    *(_at(IMPRESSION + 12, ">B", count) for count in (0, 1, 9)),
    published.of_2011(published.representation(2, ())),
    _at(IMPRESSION + 13, ">B", 0xC0),  # type 3
    _at(IMPRESSION + 15, ">B", 0x40),  # reserved bits of y
    _at(IMPRESSION + 18, ">B", 101),  # a minutia's quality
    *(_one(area=published.extended(kind, b"xx", 4)) for kind in (0, 4, 0x0100)),
    *(_one(area=published.extended(0x0221, b"xx", counted)) for counted in (0, 9)),
    _at(len(GOOD) - 2, ">H", 9),
]


def _impossible(record: iso.Record) -> Iterator[iso.Record]:
    """Records with what no bytes can hold: the writer refuses them too."""
    view = record.views[0]
    short = tuple(dataclasses.replace(m, quality=50) for m in view.minutiae)
    long = struct.pack(">HH", 0x0101, 50_000) + bytes(49_996)
    for change in (
        {"number": 16},
        {"extended": bytes(1 << 16)},
        {"minutia_bytes": 5, "minutiae": short},
        {"qualities": ((50, 0, 1 << 16),)},
        {"qualities": (iso.Quality(50, 0, 0),) * 256},
    ):
        yield iso.Record((dataclasses.replace(view, **change),), record.certified)
    certified = dataclasses.replace(view, certifications=(iso.Certification(1, 1),))
    yield iso.Record((certified,), certified=False)
    many = (dataclasses.replace(view, position=2, extended=long, number=n) for n in range(11))
    yield iso.Record(tuple(many), record.certified)


def target(data: bytes) -> None:
    """A record is refused by DecodeError, or kept byte for byte."""
    try:
        record = iso.decode(data)
    except DecodeError:
        return
    if iso.encode(record) != data:
        raise AssertionError("a record changed on its way")
    assert repr((record, record.views[0])).count(">") == 2
    for view in record.views:
        if len(record.template(view).minutiae) != len(view.minutiae):
            raise AssertionError("a minutia was lost")
    for changed in _impossible(record):
        with contextlib.suppress(DecodeError):
            iso.encode(changed)
            raise AssertionError("written, and no reader would take it")
