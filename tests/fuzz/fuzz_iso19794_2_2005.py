"""Records from outside: read, re-encoded, made ready for comparison; never another exception."""

import contextlib
import dataclasses
import struct
from collections.abc import Iterator

from sdbox_agent.biometrics import fmr
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.comparison import compare, prepare
from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template
from sdbox_agent.errors import DecodeError

DIVISOR = 10  # a comparison each
PARSERS = (
    iso,
    fmr.Reader,
    fmr.decode_view,
    fmr.encode_view,
    fmr.check_view,
    fmr.check_image,
    fmr.check_numbers,
)
HEADER_BYTES = 24
_VIEW = Template(
    tuple(
        Minutia(40.0 + 31 * (k % 6), 40.0 + 37 * (k // 6), 0.3 * (k % 20), MinutiaType.ENDING, 60)
        for k in range(30)
    )
)
_PROBE = prepare(_VIEW)
GOOD = iso.encode(iso.record_of({2: [_VIEW]}, 300, 400))
TWO = iso.encode(iso.record_of({2: [_VIEW, _VIEW], 7: [_VIEW]}, 300, 400))


def _at(place: int, form: str, value: int, data: bytes = GOOD) -> bytes:
    """One field set to something else."""
    spoilt = bytearray(data)
    struct.pack_into(form, spoilt, place, value)
    return bytes(spoilt)


def _with(extended: bytes) -> bytes:
    """The record with an extended block at its end, all lengths right."""
    data = GOOD[:-2] + struct.pack(">H", len(extended)) + extended
    return _at(8, ">I", len(data), data)


SECOND_VIEW = HEADER_BYTES + 4 + 30 * 6 + 2
SEEDS: list[bytes] = [
    GOOD,
    TWO,
    GOOD[:10],
    *(GOOD[:size] + bytes(4) for size in (HEADER_BYTES + 2, 60)),
    *(_at(8, ">I", size, GOOD[:size]) for size in (HEADER_BYTES + 2, 60, len(GOOD) - 1)),
    bytes(iso.MAX_RECORD_BYTES + 1),
    _at(4, ">4s", b"030\0"),  # another version
    _at(8, ">I", 1),  # its length
    _at(12, ">H", 0x1000),  # reserved bits
    _at(14, ">H", 0),  # no width
    _at(14, ">H", 10),  # minutiae outside
    _at(18, ">H", 98),  # resolution
    _at(22, ">B", 0, _at(8, ">I", HEADER_BYTES)[:HEADER_BYTES]),  # no views
    _at(22, ">B", 2),  # one view too many
    _at(22, ">B", 2, TWO),  # one too few
    _at(23, ">B", 1),  # reserved
    _at(HEADER_BYTES, ">B", 11),  # finger
    _at(HEADER_BYTES + 1, ">B", 0x07),  # impression
    _at(HEADER_BYTES + 1, ">B", 0x10),  # not numbered from zero
    _at(HEADER_BYTES + 2, ">B", 101),  # quality
    _at(8, ">I", HEADER_BYTES + 6, GOOD[:HEADER_BYTES] + b"\2\0\0\0\0\0"),  # no minutiae
    _at(SECOND_VIEW, ">B", 7, TWO),  # the views of finger 7 are numbered 1 and 0
    iso.encode(iso.record_of({2: [_VIEW], 7: [_VIEW], 3: [_VIEW]}, 300, 400)).replace(
        b"\3\0\x3c", b"\2\x10\x3c"
    ),  # fingers 2, 7 and 2 again
    _at(HEADER_BYTES + 4, ">B", 0xC0),  # type 3
    _at(HEADER_BYTES + 6, ">B", 0x40),  # reserved bits of y
    _at(HEADER_BYTES + 9, ">B", 101),  # a minutia's quality
    _with(struct.pack(">HH", 1, 2) + b"xx"),
    _with(bytes.fromhex("5301000a 73646201 406400c84063")),  # ours: a second minutia
    _with(bytes.fromhex("5301000a 73646201 7fff00c84063")),  # outside
    _with(2 * bytes.fromhex("5301000a 73646201 406400c84063")),  # twice
    *(_with(struct.pack(">HH", kind, 2) + b"xx") for kind in (0, 4, 0x0100)),
    _with(struct.pack(">HH", 1, 9) + b"xx"),
    _with(b"x"),
    _at(len(GOOD) - 2, ">H", 9),
]


def _impossible(record: iso.Record) -> Iterator[iso.Record]:
    """Records with what no bytes can hold: the writer refuses them too."""
    yield dataclasses.replace(record, certification_and_device=1 << 16)
    view = record.views[0]
    for change in ({"extended": bytes(1 << 16)}, {"number": 16}, {"position": 11}):
        yield dataclasses.replace(record, views=(dataclasses.replace(view, **change),))
    long = struct.pack(">HH", 1, 40_000) + bytes(40_000)
    two = (dataclasses.replace(view, extended=long, number=n) for n in (0, 1))
    yield dataclasses.replace(record, views=tuple(two))


def target(data: bytes) -> None:
    """A record is refused by DecodeError, or kept byte for byte and compared to a number."""
    try:
        record = iso.decode(data)
    except DecodeError:
        return
    if iso.encode(record) != data:
        raise AssertionError("a record changed on its way")
    assert repr(record) == f"<Record of {len(record.views)} views>"
    for changed in _impossible(record):
        with contextlib.suppress(DecodeError):
            iso.encode(changed)
            raise AssertionError("written, and no reader would take it")
    for view in record.views[:2]:
        score = compare(_PROBE, prepare(record.template(view)))
        if not 0 <= score <= 1:
            raise AssertionError("a score out of range")
