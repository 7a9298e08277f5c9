"""INCITS 378-2004 records: every field kept, two-degree angles, nothing that could be of 2005."""

import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.biometrics import incits378_2004 as incits
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.minutia import MinutiaType
from sdbox_agent.errors import DecodeError
from tests.biometrics import published

FEW = ((published.E, 100, 200, 45, 99), (published.B, 1, 511, 179, 0))
ONE = published.of_2004(published.view(2, 80, FEW))
VIEW = 26

values = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 511),
        st.integers(0, 511),
        st.integers(0, 179),
        st.integers(0, 100),
    ),
    min_size=1,
    max_size=4,
)
areas = st.just(b"\0\0") | st.builds(
    published.extended, st.sampled_from([1, 2, 0x0101, 0xFFFF]), st.binary(max_size=9), st.just(4)
)


@st.composite
def records(draw) -> bytes:
    """Some fingers, some views of each, built field by field."""
    views = []
    for position in draw(st.lists(st.integers(0, 10), min_size=1, max_size=3, unique=True)):
        for number in range(draw(st.integers(1, 3))):
            packed = number << 4 | draw(st.sampled_from([0, 1, 2, 3, 8, 9]))
            quality = draw(st.integers(0, 100))
            views.append(published.view(position, quality, draw(values), draw(areas), packed))
    return published.of_2004(*views, owner=draw(st.integers(1, 0xFFFF)))


def built(record: incits.Record, *, long: bool = False) -> bytes:
    """A record's fields in their places, by none of the project's writers."""
    body = b""
    for view in record.views:
        packed = view.number << 4 | view.impression
        body += struct.pack(">BBBB", view.position, packed, view.quality, len(view.minutiae))
        for m in view.minutiae:
            body += struct.pack(">HHBB", m.type << 14 | m.x, m.y, m.angle, m.quality)
        body += struct.pack(">H", len(view.extended)) + view.extended
    size = 26 + len(body)
    length = struct.pack(">HI", 0, size + 4) if long else struct.pack(">H", size)
    rest = (
        record.owner,
        record.product,
        record.compliance_and_device,
        record.width,
        record.height,
        record.x_ppcm,
        record.y_ppcm,
    )
    count = struct.pack(">BB", len(record.views), 0)
    return b"FMR\0 20\0" + length + struct.pack(">HHHHHHH", *rest) + count + body


def test_a_record_built_by_hand_reads_as_meant() -> None:
    record = incits.decode(ONE)
    assert (record.owner, record.product, record.compliance_and_device) == (0x42, 0x11, 0xB5)
    assert (record.width, record.height, record.x_ppcm, record.y_ppcm) == (512, 512, 197, 197)
    (view,) = record.views
    assert (view.position, view.number, view.impression, view.quality) == (2, 0, 0, 80)
    first, second = record.template(view).minutiae
    assert math.isclose(first.angle_rad, math.pi / 2)  # 45 times two degrees
    assert math.isclose(second.angle_rad, math.radians(358))
    assert math.isclose(first.x_px, 100 * 500 / (197 * 2.54))
    assert (first.type, first.quality, second.quality) == (MinutiaType.ENDING, 99, 0)


@given(records())
def test_every_field_is_kept(data) -> None:
    assert built(incits.decode(data)) == data


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: ONE[:VIEW] + tail))
@example(ONE + b"\n")
def test_arbitrary_bytes_give_a_record_or_one_error(data) -> None:
    try:
        record = incits.decode(data)
    except DecodeError:
        return
    assert built(record) == data


@given(records(), st.data())
def test_a_changed_byte_is_refused_or_kept(data, more) -> None:
    spoilt = bytearray(data)
    spoilt[more.draw(st.integers(0, len(data) - 1))] ^= more.draw(st.integers(1, 255))
    try:
        record = incits.decode(bytes(spoilt))
    except DecodeError:
        return
    assert built(record) == spoilt


def patched(place: int, *octets: int, data: bytes = ONE) -> bytes:
    return data[:place] + bytes(octets) + data[place + len(octets) :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "header cut short"),
        (ONE[:7], "header cut short"),
        (ONE[:9], "header cut short"),
        (ONE[:8] + bytes(4), "header cut short"),
        (ONE[:8] + b"\0\x0c" + ONE[10:12], "header cut short"),
        (patched(0, 0x47), "not a minutiae record of 2004"),
        (patched(4, *b"020\0"), "not a minutiae record of 2004"),
        (patched(4, *b"030\0"), "not a minutiae record of 2004"),
        (patched(9, len(ONE) + 1), "length field is wrong"),
        (patched(8, 0, 25), "length field is wrong"),
        (ONE + b"\0", "length field is wrong"),
        (patched(10, 0, 0), "owner of the format is missing"),
        (patched(14, 0x10), "reserved compliance bits are set"),
        (patched(16, 0, 0), "image has no size"),
        (patched(20, 0, 98), "resolution out of range"),
        (patched(22, 0, 0), "resolution out of range"),
        (patched(24, 0), "bytes after the last view"),
        (patched(24, 2), "view header cut short"),
        (patched(25, 1), "reserved byte is set"),
        (patched(VIEW, 11), "finger position out of range"),
        (patched(VIEW + 1, 0x10), "views are not numbered from zero"),
        (patched(VIEW + 1, 0x04), "impression type is reserved"),
        (patched(VIEW + 2, 101), "finger quality out of range"),
        (patched(VIEW + 3, 255), "minutiae cut short"),
        (patched(VIEW + 4, 0xC0), "minutia type is reserved"),
        (patched(VIEW + 4, 0x42, 0), "minutia outside the image"),
        (patched(VIEW + 6, 0x40), "reserved bits of a minutia are set"),
        (patched(VIEW + 8, 180), "minutia angle out of range"),
        (patched(VIEW + 9, 101), "minutia quality out of range"),
        (patched(len(ONE) - 1, 1), "extended data cut short"),
    ],
)
def test_each_fault_has_its_reason(data, reason) -> None:
    with pytest.raises(DecodeError, match=reason):
        incits.decode(data)


@pytest.mark.parametrize("length", range(len(ONE)))
def test_a_record_cut_short_is_refused(length) -> None:
    for cut in (ONE[:length], (ONE[:8] + length.to_bytes(2, "big") + ONE[10:])[:length]):
        with pytest.raises(DecodeError):
            incits.decode(cut)


def long_record() -> bytes:
    """More than two bytes of length can say: 88 views of 128 minutiae."""
    many = tuple((published.O, x, x, x, 0) for x in range(128))
    views = [
        published.view(p, 0, many, packed=number << 4) for p in range(11) for number in range(8)
    ]
    return published.of_2004(*views)


def test_a_long_record_has_its_length_in_six_bytes() -> None:
    data = long_record()
    assert data[8:10] == b"\0\0"
    assert int.from_bytes(data[10:14], "big") == len(data) > 0xFFFF
    record = incits.decode(data)
    assert len(record.views) == 88
    assert built(record, long=True) == data
    with pytest.raises(DecodeError, match="length field is wrong"):
        incits.decode(data + b"\0")


def sized(size: int, head: int) -> bytes:
    """A record of so many bytes, its length in two bytes (`head` 26) or six (30)."""
    padding = bytes(size - head - 16)  # view, minutia and block around it
    view = published.view(2, 80, FEW[:1], published.extended(0x0221, padding, 4))
    whole = published.of_2004(view)
    rest = whole[-len(view) - 16 :]
    return (
        whole[:8] + (struct.pack(">H", size) if head == 26 else struct.pack(">HI", 0, size)) + rest
    )


@pytest.mark.parametrize("size", [60, 256, 1000, 65535])
def test_a_short_length_in_six_bytes_is_ambiguous_and_refused(size) -> None:
    assert len(sized(size, 26)) == len(sized(size, 30)) == size
    assert built(incits.decode(sized(size, 26))) == sized(size, 26)
    with pytest.raises(DecodeError, match="ambiguous"):
        incits.decode(sized(size, 30))


def test_six_bytes_begin_where_two_end() -> None:
    assert len(sized(65536, 30)) == 65536
    assert built(incits.decode(sized(65536, 30)), long=True) == sized(65536, 30)


def test_nothing_over_the_limit_is_looked_at() -> None:
    with pytest.raises(DecodeError, match="too large"):
        incits.decode(bytes(incits.MAX_RECORD_BYTES + 1))


@given(records())
def test_no_record_of_2004_is_one_of_2005(data) -> None:
    with pytest.raises(DecodeError):
        iso.decode(data)


@given(st.binary(min_size=20, max_size=60))
@example(published.printed_2005()[8:])
def test_no_bytes_are_both(tail) -> None:
    data = b"FMR\0 20\0" + tail
    taken = 0
    for read in (incits.decode, iso.decode):
        try:
            read(data)
        except DecodeError:
            continue
        taken += 1
    assert taken <= 1


def test_a_record_of_2005_is_none_of_2004() -> None:
    with pytest.raises(DecodeError, match="length"):
        incits.decode(published.printed_2005())


def test_the_printed_example_is_refused_for_its_angles_and_reads_without_them() -> None:
    data = published.printed_2004()
    assert len(data) == 342
    for stray in (data + b"\n", b"FMR\x00020\0" + data[8:]):  # as it is in circulation
        with pytest.raises(DecodeError):
            incits.decode(stray)
    with pytest.raises(DecodeError, match="minutia angle out of range"):
        incits.decode(data)
    beyond = [place for place in range(202, 330, 6) if data[place] >= 180]
    assert [data[place] for place in beyond] == [213, 249]
    for place in beyond:
        data = patched(place, data[place] - 180, data=data)
    record = incits.decode(data)
    assert built(record) == data
    left, right = record.views
    assert (left.position, left.quality, len(left.minutiae)) == (7, 90, 27)
    assert (right.position, right.quality, len(right.minutiae)) == (2, 70, 22)
    assert (left.minutiae[0].x, left.minutiae[0].y, left.minutiae[26].quality) == (100, 14, 30)
    assert right.extended == bytes.fromhex("0001000a0144bc362143")


def test_reprs_show_no_minutiae() -> None:
    record = incits.decode(ONE)
    assert repr((record, record.views[0])) == "(<Record of 1 views>, <FingerView of 2>)"
