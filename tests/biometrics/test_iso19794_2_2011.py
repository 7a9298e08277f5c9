"""ISO/IEC 19794-2:2011 records: lossless, bounded, and refused at every single fault."""

import dataclasses
import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.biometrics import fmr
from sdbox_agent.biometrics import iso19794_2_2011 as iso
from sdbox_agent.biometrics.minutia import MinutiaType
from sdbox_agent.errors import DecodeError
from tests.biometrics import published

# One view of one minutia of five bytes, written out by hand from the standard's tables.
BY_HAND = bytes.fromhex(
    "464d5200"  # FMR
    "30333000"  # 030
    "0000003f"  # 63 bytes: 15 + 34 + 5 + 5 + 4, the last two for a quality and a certification
    "0001"  # one representation
    "01"  # with room for certifications
    "00000030"  # 48 bytes
    "07e9"  # 2025
    "0c"  # December
    "1f"
    "ffffff"  # no hour, minute, second
    "ffff"
    "0e"  # capacitive
    "0012"  # its maker
    "0034"
    "01"  # one quality
    "50"  # 80
    "0056"  # whose
    "0078"
    "01"  # one certification
    "009a"  # by whom
    "02"
    "02"  # right index
    "00"  # its first view
    "00c500c5"  # 197 pixels/cm
    "00"  # live plain
    "0184"  # 388 wide
    "0176"  # 374 high
    "51"  # minutiae of five bytes; endings where the ridge ends
    "01"  # one of them
    "4064"  # ridge ending, x = 100
    "00c8"  # y = 200
    "40"  # 64 x 1.40625 = 90 degrees
    "0000"  # no extended data
)
FEW = ((published.E, 100, 200, 64, 99), (published.B, 1, 511, 255, 0))
VIEW = 15  # where the first representation starts
ONE = published.of_2011(published.representation(2, FEW))
IMPRESSION = VIEW + 4 + 9 + 5 + 1  # of ONE, which has no quality

minutiae = st.builds(
    fmr.RecordMinutia,
    st.sampled_from(MinutiaType),
    st.integers(0, 299),
    st.integers(0, 399),
    st.integers(0, 255),
    st.integers(0, 100) | st.sampled_from([254, 255]),
)
captured = st.tuples(
    st.integers(1, 0xFFFE),
    st.integers(1, 12),
    st.integers(1, 31),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(0, 999),
).flatmap(lambda whole: st.integers(0, 7).map(lambda known: whole[:known]))
codes = st.integers(0, 0xFFFF)
blocks = st.lists(
    st.builds(
        lambda kind, data: struct.pack(">HH", kind, len(data) + 4) + data,
        st.sampled_from([1, 2, 3, 0x0101, 0x0221, 0xFFFF]),
        st.binary(max_size=9),
    ),
    max_size=2,
).map(b"".join)


@st.composite
def views(draw, position: int, number: int, certified: bool) -> iso.FingerView:
    size = draw(st.sampled_from(iso.MINUTIA_BYTES))
    found = draw(st.lists(minutiae, min_size=1, max_size=4))
    if size == 5:
        found = [dataclasses.replace(m, quality=fmr.NOT_REPORTED) for m in found]
    percent = st.integers(0, 100) | st.just(255)
    return iso.FingerView(
        position,
        number,
        draw(st.sampled_from(sorted(iso.IMPRESSIONS))),
        300,
        400,
        draw(st.integers(99, 500)),
        197,
        tuple(found),
        size,
        draw(st.sampled_from(iso.ENDING_TYPES)),
        draw(captured),
        draw(st.builds(iso.Device, st.integers(0, 255), codes, codes)),
        tuple(draw(st.lists(st.builds(iso.Quality, percent, codes, codes), max_size=2))),
        tuple(draw(st.lists(st.builds(iso.Certification, codes, st.integers(0, 255)), max_size=2)))
        if certified
        else (),
        draw(blocks),
    )


@st.composite
def records(draw) -> iso.Record:
    certified = draw(st.booleans())
    positions = st.lists(st.sampled_from(sorted(iso.POSITIONS)), min_size=1, max_size=3)
    found, seen = [], {}
    for position in draw(positions):  # a finger's views need not stand together
        found.append(draw(views(position, seen.get(position, 0), certified)))
        seen[position] = seen.get(position, 0) + 1
    return iso.Record(tuple(found), certified)


def test_a_record_written_by_hand_reads_as_meant() -> None:
    record = iso.decode(BY_HAND)
    assert record.certified
    (view,) = record.views
    assert view.captured == (2025, 12, 31)
    assert view.device == (14, 0x12, 0x34)
    assert view.qualities == ((80, 0x56, 0x78),)
    assert view.certifications == ((0x9A, 2),)
    assert (view.position, view.number, view.impression) == (2, 0, 0)
    assert (view.width, view.height, view.x_ppcm, view.y_ppcm) == (388, 374, 197, 197)
    assert (view.minutia_bytes, view.ending_type, view.extended) == (5, 1, b"")
    (found,) = record.template(view).minutiae
    assert math.isclose(found.x_px, 100 * 500 / (197 * 2.54))
    assert math.isclose(found.angle_rad, math.pi / 2)
    assert (found.type, found.quality) == (MinutiaType.ENDING, 0)
    assert iso.encode(record) == BY_HAND


@given(records())
def test_what_is_encoded_decodes_to_the_same_record(record) -> None:
    assert iso.decode(iso.encode(record)) == record


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: BY_HAND[:VIEW] + tail))
@example(BY_HAND + b"\n")
def test_arbitrary_bytes_give_a_record_or_one_error(data) -> None:
    try:
        record = iso.decode(data)
    except DecodeError:
        return
    assert iso.encode(record) == data


@given(records(), st.data())
def test_a_changed_byte_is_refused_or_kept(record, more) -> None:
    data = bytearray(iso.encode(record))
    data[more.draw(st.integers(0, len(data) - 1))] ^= more.draw(st.integers(1, 255))
    try:
        found = iso.decode(bytes(data))
    except DecodeError:
        return
    assert iso.encode(found) == bytes(data)
    for view in found.views:
        found.template(view)


@pytest.mark.parametrize("length", range(len(BY_HAND)))
def test_a_record_cut_short_is_refused(length) -> None:
    with pytest.raises(DecodeError):
        iso.decode(BY_HAND[:length])
    shorter = BY_HAND[:8] + length.to_bytes(4, "big") + BY_HAND[12:length]
    with pytest.raises(DecodeError):
        iso.decode(shorter[:length])
    if length > VIEW + 4:  # and the view says so too
        view = struct.pack(">I", length - VIEW)
        with pytest.raises(DecodeError, match="cut short"):
            iso.decode(shorter[:VIEW] + view + shorter[VIEW + 4 :])


def patched(place: int, *octets: int, data: bytes = ONE) -> bytes:
    return data[:place] + bytes(octets) + data[place + len(octets) :]


def timed(*fields: int) -> bytes:
    return patched(VIEW + 4, *struct.pack(">HBBBBBH", *fields))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (patched(0, 0x47), "not a minutiae record of 2011"),
        (patched(4, *b" 20\0"), "not a minutiae record of 2011"),
        (patched(11, len(ONE) + 1), "length field is wrong"),
        (ONE + b"\0", "length field is wrong"),
        (patched(13, 0), "bytes after the last view"),
        (patched(13, 2), "view header cut short"),
        (patched(12, 0, 177), "number of views out of range"),
        (patched(14, 2), "certification flag is neither"),
        (patched(14, 1), "minutiae cut short"),  # its fields are one byte off from here
        (patched(VIEW, 0, 0, 0, 3), "view is shorter than its length field"),
        (patched(VIEW + 3, 255), "view cut short"),
        (patched(VIEW + 3, 20), "view header cut short"),
        (timed(0, 12, 15, 17, 35, 20, 0), "capture time"),
        (timed(0xFFFF, 12, 15, 17, 35, 20, 0), "capture time"),  # of which year?
        (timed(2005, 0xFF, 15, 0xFF, 0xFF, 0xFF, 0xFFFF), "capture time"),
        (timed(2005, 13, 15, 17, 35, 20, 0), "capture time"),
        (timed(2005, 12, 0, 17, 35, 20, 0), "capture time"),
        (timed(2005, 12, 15, 24, 35, 20, 0), "capture time"),
        (timed(2005, 12, 15, 17, 60, 20, 0), "capture time"),
        (timed(2005, 12, 15, 17, 35, 60, 0), "capture time"),
        (timed(2005, 12, 15, 17, 35, 20, 1000), "capture time"),
        (patched(IMPRESSION - 1, 200), "view header cut short"),
        (patched(IMPRESSION, 11), "finger position is reserved"),
        (patched(IMPRESSION, 51), "finger position is reserved"),
        (patched(IMPRESSION + 1, 1), "views are not numbered from zero"),
        (patched(IMPRESSION + 1, 16), "too many views of a finger"),
        (patched(IMPRESSION + 2, 0, 98), "resolution out of range"),
        (patched(IMPRESSION + 4, 0, 0), "resolution out of range"),
        (patched(IMPRESSION + 6, 10), "impression type is reserved"),
        (patched(IMPRESSION + 7, 0, 0), "image has no size"),
        (patched(IMPRESSION + 7, 0x40, 0), "image too large"),
        (patched(IMPRESSION + 9, 0x40, 0), "image too large"),
        (patched(IMPRESSION + 11, 0x70), "length of a minutia is reserved"),
        (patched(IMPRESSION + 11, 0x62), "kind of minutiae is reserved"),
        (patched(IMPRESSION + 12, 0), "extended data cut short"),
        (patched(IMPRESSION + 12, 1), "extended data cut short"),
        (patched(IMPRESSION + 12, 9), "minutiae cut short"),
        (patched(IMPRESSION + 13, 0xC0), "minutia type is reserved"),
        (patched(IMPRESSION + 13, 0x42, 0), "minutia outside the image"),
        (patched(IMPRESSION + 15, 0x40), "reserved bits of a minutia are set"),
        (patched(IMPRESSION + 18, 101), "minutia quality out of range"),
        (patched(IMPRESSION + 18, 253), "minutia quality out of range"),
        (patched(len(ONE) - 1, 1), "extended data cut short"),
    ],
)
def test_each_fault_has_its_reason(data, reason) -> None:
    with pytest.raises(DecodeError, match=reason):
        iso.decode(data)


def test_a_view_longer_than_its_fields_is_refused() -> None:
    view = published.representation(2, FEW) + b"\0"
    data = published.of_2011(struct.pack(">I", len(view)) + view[4:])
    with pytest.raises(DecodeError, match="bytes after a view's end"):
        iso.decode(data)


def test_no_view_no_minutia_and_a_wrong_quality_are_refused() -> None:
    for data, reason in (
        (published.of_2011(), "number of views"),
        (published.of_2011(published.representation(2, ())), "number of minutiae"),
        (
            published.of_2011(published.representation(2, FEW, qualities=[(101, 0, 0)])),
            "finger quality",
        ),
    ):
        with pytest.raises(DecodeError, match=reason):
            iso.decode(data)


def changed(**changes) -> iso.Record:
    record = iso.decode(ONE)
    return dataclasses.replace(record, views=(dataclasses.replace(record.views[0], **changes),))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (changed(certifications=(iso.Certification(1, 1),)), "certifications"),
        (changed(minutia_bytes=5), "has no room"),
        (changed(minutia_bytes=7), "kind of minutiae"),
        (changed(captured=(2005, 12, 15, 17, 35, 20, 0, 0)), "capture time"),
        (changed(device=iso.Device(256, 0, 0)), "code out of range"),
        (changed(device=iso.Device(0, -1, 0)), "code out of range"),
        (changed(qualities=(iso.Quality(50, 0x10000, 0),)), "code out of range"),
        (changed(qualities=(iso.Quality(50, 0, 0),) * 256), "too many qualities"),
        (changed(extended=bytes(0x10000)), "extended data too large"),
        (changed(extended=b"\2\x21\0\3"), "shorter than its head"),
        (changed(extended=b"\0\4\0\4"), "block type is reserved"),
        (changed(number=-1), "too many views"),
    ],
)
def test_what_could_not_be_read_is_not_written(record, reason) -> None:
    with pytest.raises(DecodeError, match=reason):
        iso.encode(record)


def test_qualities_become_the_projects() -> None:
    values = [(0, 10 * k, 10, 0, quality) for k, quality in enumerate((0, 1, 100, 254, 255))]
    record = iso.decode(published.of_2011(published.representation(2, values)))
    found = record.template(record.views[0])
    assert [m.quality for m in found.minutiae] == [1, 1, 100, 0, 0]  # 0: not known


def test_the_largest_view_there_can_be_is_bounded() -> None:
    crowd = tuple(fmr.RecordMinutia(MinutiaType.OTHER, x, x, x, 0) for x in range(255))
    view = dataclasses.replace(iso.decode(ONE).views[0], minutiae=crowd)
    every = tuple(
        dataclasses.replace(view, position=position, number=number)
        for position in range(11)
        for number in range(16)
    )
    record = iso.Record(every)
    data = iso.encode(record)
    assert iso.decode(data) == record
    vendors = struct.pack(">HH", 0x0101, 4000) + bytes(3996)
    larger = iso.Record(tuple(dataclasses.replace(view, extended=vendors) for view in every))
    with pytest.raises(DecodeError, match="record too large"):
        iso.encode(larger)
    with pytest.raises(DecodeError, match="record too large"):
        iso.decode(data + bytes(iso.MAX_RECORD_BYTES))


def test_the_printed_example_is_refused_for_one_number_and_reads_without_it() -> None:
    assert len(published.printed_2011()) == 397
    with pytest.raises(DecodeError, match="views are not numbered from zero"):
        iso.decode(published.printed_2011())
    data = published.printed_2011(number=0)
    record = iso.decode(data)
    assert iso.encode(record) == data
    left, right = record.views
    assert (left.position, right.position) == (7, 2)
    assert left.captured == (2005, 12, 15, 17, 35, 20, 0)
    assert (left.qualities, right.qualities) == (((90, 0xABCD, 291),), ((70, 0xABCD, 291),))
    assert left.device == (0, 0xABCD, 181)
    assert (len(left.minutiae), len(right.minutiae)) == (27, 22)
    assert list(fmr.blocks(right.extended, iso.RULES)) == [published.VENDOR_BLOCK]


@pytest.mark.parametrize("record", [BY_HAND, ONE, published.printed_2011(0)])
def test_reprs_show_no_minutiae(record) -> None:
    read = iso.decode(record)
    assert repr(read) == f"<Record of {len(read.views)} views>"
    assert repr(read.views[0]) == f"<FingerView of {len(read.views[0].minutiae)}>"
