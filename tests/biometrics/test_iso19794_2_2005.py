"""ISO/IEC 19794-2:2005 records: lossless, bounded, and refused at every single fault."""

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.biometrics import extension, fmr
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.minutia import MinutiaType, Template
from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, cms, reference
from tests.biometrics import published
from tests.biometrics.templates import finger

THIRD_PARTY = Path(__file__).parents[3] / "shared/fingerprints/iso19794-2"

# One view of two minutiae, written out by hand from the standard's tables.
BY_HAND = bytes.fromhex(
    "464d5200"  # FMR
    "20323000"  # " 20"
    "0000002a"  # 42 bytes: 24 + 4 + 2 x 6 + 2
    "0000"  # no certification, device 0
    "0184"  # 388 wide
    "0176"  # 374 high
    "00c500c5"  # 197 pixels/cm
    "01"  # one view
    "00"
    "02"  # right index
    "00"  # view 0, live plain
    "50"  # quality 80
    "02"  # two minutiae
    "4064"  # ridge ending, x = 100
    "00c8"  # y = 200
    "40"  # 64 x 1.40625 = 90 degrees
    "63"  # quality 99
    "8001"  # bifurcation, x = 1
    "0175"  # y = 373
    "ff"
    "00"
    "0000"  # no extended data
)

record_minutiae = st.builds(
    iso.RecordMinutia,
    st.sampled_from(MinutiaType),
    st.integers(0, 299),
    st.integers(0, 399),
    st.integers(0, 255),
    st.integers(0, 100),
)
blocks = st.lists(
    st.builds(
        lambda kind, data: kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data,
        st.sampled_from([1, 2, 3, 0x0101, 0x0221, 0xFFFF]),
        st.binary(max_size=9),
    ),
    max_size=2,
).map(b"".join)


@st.composite
def records(draw) -> iso.Record:
    views = []
    for position in draw(st.lists(st.integers(0, 10), min_size=1, max_size=3, unique=True)):
        for number in range(draw(st.integers(1, 3))):
            views.append(
                iso.FingerView(
                    position,
                    number,
                    draw(st.sampled_from(sorted(iso.IMPRESSIONS))),
                    draw(st.integers(0, 100)),
                    tuple(draw(st.lists(record_minutiae, min_size=1, max_size=5))),
                    draw(blocks),
                )
            )
    device = draw(st.sampled_from([0, 0x8000])) | draw(st.integers(0, 0xFFF))
    return iso.Record(300, 400, 197, draw(st.integers(99, 500)), tuple(views), device)


def test_a_record_written_by_hand_reads_as_meant() -> None:
    record = iso.decode(BY_HAND)
    assert (record.width, record.height, record.x_ppcm, record.y_ppcm) == (388, 374, 197, 197)
    (view,) = record.views
    assert (view.position, view.number, view.impression, view.quality) == (2, 0, 0, 80)
    assert view.minutiae == (
        iso.RecordMinutia(MinutiaType.ENDING, 100, 200, 64, 99),
        iso.RecordMinutia(MinutiaType.BIFURCATION, 1, 373, 255, 0),
    )
    first = record.template(view).minutiae[0]
    assert math.isclose(first.angle_rad, math.pi / 2)
    assert math.isclose(first.x_px, 100 * 500 / (197 * 2.54))
    assert iso.encode(record) == BY_HAND


@given(records())
def test_what_is_encoded_decodes_to_the_same_record(record) -> None:
    assert iso.decode(iso.encode(record)) == record


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: BY_HAND[:24] + tail))
@example(BY_HAND + b"\n")  # a published example carries one stray byte: strictly, refused
def test_arbitrary_bytes_give_a_record_or_one_error(data) -> None:
    try:
        record = iso.decode(data)
    except DecodeError:
        return
    assert iso.encode(record) == data


@given(st.integers(0, len(BY_HAND) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_kept(place, change) -> None:
    data = bytearray(BY_HAND)
    data[place] ^= change
    try:
        record = iso.decode(bytes(data))
    except DecodeError:
        return
    assert iso.encode(record) == bytes(data)


@pytest.mark.parametrize("length", range(len(BY_HAND)))
def test_a_record_cut_short_is_refused(length) -> None:
    cut = BY_HAND[:8] + length.to_bytes(4, "big") + BY_HAND[12:]
    with pytest.raises(DecodeError):
        iso.decode(cut[:length])
    with pytest.raises(DecodeError):
        iso.decode(BY_HAND[:length])


def patched(place: int, *values: int) -> bytes:
    return BY_HAND[:place] + bytes(values) + BY_HAND[place + len(values) :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (patched(0, 0x47), "not a minutiae record of 2005"),
        (patched(4, *b"030\0"), "not a minutiae record of 2005"),
        (patched(4, *b" 10\0"), "not a minutiae record of 2005"),
        (patched(11, 0x2B), "length field is wrong"),
        (BY_HAND + b"\0", "length field is wrong"),
        (patched(12, 0x10), "reserved certification bits are set"),
        (patched(14, 0, 0), "image has no size"),
        (patched(18, 0, 98), "resolution out of range"),
        (patched(20, 0, 0), "resolution out of range"),
        (patched(22, 0), "bytes after the last view"),
        (patched(22, 2), "view header cut short"),
        (patched(23, 1), "reserved byte is set"),
        (patched(24, 11), "finger position out of range"),
        (patched(25, 0x10), "views are not numbered from zero"),
        (patched(25, 0x04), "impression type is reserved"),
        (patched(26, 101), "finger quality out of range"),
        (patched(27, 255), "minutiae cut short"),
        (patched(28, 0xC0), "minutia type is reserved"),
        (patched(28, 0x41, 0x84), "minutia outside the image"),
        (patched(30, 0x40), "reserved bits of a minutia are set"),
        (patched(30, 0x01, 0x76), "minutia outside the image"),
        (patched(33, 101), "minutia quality out of range"),
        (patched(41, 1), "extended data cut short"),
    ],
)
def test_each_fault_has_its_reason(data, reason) -> None:
    with pytest.raises(DecodeError, match=reason):
        iso.decode(data)


def test_no_view_and_no_minutia_are_refused() -> None:
    empty = BY_HAND[:8] + (24).to_bytes(4, "big") + BY_HAND[12:22] + b"\0\0"
    with pytest.raises(DecodeError, match="number of views"):
        iso.decode(empty)
    none = BY_HAND[:8] + (30).to_bytes(4, "big") + BY_HAND[12:27] + b"\0\0\0"
    with pytest.raises(DecodeError, match="number of minutiae"):
        iso.decode(none)


@pytest.mark.parametrize(
    "extended",
    [
        *(b"\0", b"\0\1\0", b"\0\1\0\1", b"\0\1\xff\xffab"),
        *(b"\0\0\0\0", b"\0\4\0\0", b"\0\xff\0\0", b"\1\0\0\0"),  # reserved types
    ],
)
def test_extended_blocks_must_fill_their_area(extended) -> None:
    record = iso.decode(BY_HAND)
    view = dataclasses.replace(record.views[0], extended=extended)
    with pytest.raises(DecodeError, match="extended"):
        iso.encode(dataclasses.replace(record, views=(view,)))


def views(*numbered: tuple[int, int]) -> tuple[iso.FingerView, ...]:
    minutiae = iso.decode(BY_HAND).views[0].minutiae
    return tuple(iso.FingerView(p, n, 0, 80, minutiae) for p, n in numbered)


@pytest.mark.parametrize(
    "numbered",
    [
        [(2, 0), (7, 0), (2, 1)],
        [(2, 1), (2, 0)],
        [(2, 0), (2, 2)],
        [(2, n) for n in range(17)],
        [(p, n) for p in range(11) for n in range(16)] + [(0, 0)],
    ],
)
def test_views_stand_together_and_in_order(numbered) -> None:
    record = iso.Record(388, 374, 197, 197, views(*numbered))
    with pytest.raises(DecodeError, match="view"):
        iso.encode(record)


def test_the_most_views_there_can_be_pass() -> None:
    every = views(*((p, n) for p in range(11) for n in range(16)))
    record = iso.Record(388, 374, 197, 197, every)
    assert len(every) == fmr.MAX_VIEWS
    assert iso.decode(iso.encode(record)) == record


def test_the_most_minutiae_there_can_be_pass() -> None:
    crowd = tuple(iso.RecordMinutia(MinutiaType.OTHER, x, x, x, 0) for x in range(255))
    record = iso.Record(388, 374, 197, 197, (iso.FingerView(1, 0, 0, 0, crowd),))
    assert iso.decode(iso.encode(record)) == record
    with pytest.raises(DecodeError):
        iso.encode(iso.Record(388, 374, 197, 197, (iso.FingerView(1, 0, 0, 0, crowd + crowd[:1]),)))


def test_nothing_over_the_limit_is_looked_at() -> None:
    with pytest.raises(DecodeError, match="too large"):
        iso.decode(b"FMR\0" + bytes(iso.MAX_RECORD_BYTES))


def test_templates_survive_storing_to_a_pixel_and_an_angle_step() -> None:
    fingers = {2: [finger(1), finger(2)], 7: [finger(3)]}
    record = iso.decode(iso.encode(iso.record_of(fingers, 388, 374)))
    assert [(view.position, view.number) for view in record.views] == [(2, 0), (2, 1), (7, 0)]
    for view, was in zip(record.views, [*fingers[2], *fingers[7]], strict=True):
        for now, before in zip(record.template(view).minutiae, was.minutiae, strict=True):
            assert math.hypot(now.x_px - before.x_px, now.y_px - before.y_px) <= 0.75
            apart = (now.angle_rad - before.angle_rad + math.pi) % (2 * math.pi) - math.pi
            assert abs(apart) <= math.pi / 256 + 1e-9
            assert (now.type, now.quality) == (before.type, before.quality)


def twice(seed: int, first: int = 45, second: int = 60) -> Template:
    """A finger as two extractors found it."""
    return Template(finger(seed, first).minutiae, finger(seed + 1, second).minutiae)


def test_a_second_extractors_minutiae_survive_storing() -> None:
    before = twice(1)
    record = iso.decode(iso.encode(iso.record_of({2: [before], 7: [finger(3)]}, 388, 374)))
    now, plain = (record.template(view) for view in record.views)
    assert plain.second == ()
    assert len(now.second) == 60
    for found, was in zip(now.second, before.second, strict=True):
        assert math.hypot(found.x_px - was.x_px, found.y_px - was.y_px) <= 0.75
        assert (found.type, found.quality) == (was.type, was.quality)


def test_two_fingers_of_three_rich_views_are_7_kb_and_fit_a_sealed_reference() -> None:
    fingers = {p: [twice(10 * p + k, 100, 100) for k in range(3)] for p in (2, 7)}
    data = iso.encode(iso.record_of(fingers, 388, 374))
    assert len(data) == 24 + 6 * (6 + 100 * 6 + 8 + 100 * 6) == 7308
    assert len(iso.decode(data).views) == 6
    # Signed and sealed too: the desk's certificate, its issuer's name and the card's issuer's, each
    # no longer than a certificate may be; all else around the record is under 2 KiB.
    assert iso.MAX_RECORD_BYTES == reference.MAX_SIGNED_BYTES == cms.MAX_MESSAGE_BYTES
    assert len(data) + 3 * certificate.MAX_CERTIFICATE_BYTES + 2048 <= cms.MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        (iso.RecordMinutia(MinutiaType.OTHER, 388, 0, 0, 0), "minutia outside the image"),
        (iso.RecordMinutia(MinutiaType.OTHER, 0, 0, 0, 101), "minutia quality out of range"),
    ],
)
def test_the_second_minutiae_are_held_to_the_same_rules(spoilt, reason) -> None:
    record = iso.decode(BY_HAND)
    extended = extension.encode((spoilt,), iso.RULES)
    view = dataclasses.replace(record.views[0], extended=extended)
    with pytest.raises(DecodeError, match=reason):
        iso.encode(dataclasses.replace(record, views=(view,)))


def test_a_record_with_a_malformed_block_of_ours_is_refused() -> None:
    block = bytes.fromhex("5301 0004") + extension.MARK
    data = bytearray(BY_HAND[:-2] + len(block).to_bytes(2, "big") + block)
    data[8:12] = len(data).to_bytes(4, "big")
    with pytest.raises(DecodeError, match="number of second minutiae"):
        iso.decode(bytes(data))
    data[-1] ^= 1  # then it is not ours
    assert iso.encode(iso.decode(bytes(data))) == bytes(data)


def test_reprs_show_no_minutiae() -> None:
    record = iso.decode(BY_HAND)
    shown = repr((record, record.views[0], record.views[0].minutiae[0]))
    assert "100" not in shown
    assert "200" not in shown


@pytest.mark.skipif(not THIRD_PARTY.is_dir(), reason="third-party records are not here")
def test_third_party_records_read_and_re_encode_to_the_same_bytes() -> None:
    sets = sorted(folder for folder in THIRD_PARTY.iterdir() if folder.is_dir())
    assert len(sets) == 4
    for folder in sets:
        files = sorted(folder.glob("*.iso"))
        assert files, folder.name
        for file in files:
            data = file.read_bytes()
            record = iso.decode(data)
            assert iso.encode(record) == data, file.name
            assert all(record.template(view).minutiae for view in record.views), file.name


def test_the_printed_example_reads_and_is_written_again() -> None:
    data = published.printed_2005()
    assert len(data) == 340
    record = iso.decode(data)
    assert iso.encode(record) == data
    left, right = record.views
    assert (left.position, left.quality, len(left.minutiae)) == (7, 90, 27)
    assert (right.position, right.quality, len(right.minutiae)) == (2, 70, 22)
    assert left.minutiae[0] == iso.RecordMinutia(MinutiaType.ENDING, 100, 14, 80, 90)
    assert right.minutiae[-1] == iso.RecordMinutia(MinutiaType.BIFURCATION, 125, 73, 249, 40)
    assert list(fmr.blocks(right.extended, iso.RULES)) == [published.VENDOR_BLOCK]
    with pytest.raises(DecodeError, match="length field is wrong"):
        iso.decode(data + b"\n")  # as it is in circulation: one stray byte


def test_a_record_longer_than_a_sealed_reference_may_be_is_not_written() -> None:
    crowd = tuple(iso.RecordMinutia(MinutiaType.OTHER, x, x, x, 0) for x in range(255))
    numbered = [(p, n) for p in range(11) for n in range(5)]
    every = tuple(iso.FingerView(p, n, 0, 0, crowd) for p, n in numbered)
    with pytest.raises(DecodeError, match="record too large"):
        iso.encode(iso.Record(388, 374, 197, 197, every))


@pytest.mark.parametrize("device", [-1, 0x10000])
def test_a_device_that_does_not_fit_is_refused(device) -> None:
    record = dataclasses.replace(iso.decode(BY_HAND), certification_and_device=device)
    with pytest.raises(DecodeError, match="device field"):
        iso.encode(record)


def test_extended_data_whose_length_does_not_fit_is_refused() -> None:
    record = iso.decode(BY_HAND)
    view = dataclasses.replace(record.views[0], extended=bytes(0x10000))
    with pytest.raises(DecodeError, match="extended data too large"):
        iso.encode(dataclasses.replace(record, views=(view,)))
