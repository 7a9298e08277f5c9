"""What the record formats share: minutiae, extended areas, views, their numbers."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.biometrics import fmr
from sdbox_agent.biometrics.minutia import MinutiaType
from sdbox_agent.errors import DecodeError

ISO_2005 = fmr.ViewRules({0, 8}, 256, fmr.PERCENT, last_block_type=3, block_counts_its_head=False)
INCITS = fmr.ViewRules({0, 8}, 180, fmr.PERCENT, last_block_type=2, block_counts_its_head=True)

stored = st.builds(
    fmr.RecordMinutia,
    st.sampled_from(MinutiaType),
    st.integers(0, 0x3FFF),
    st.integers(0, 0x3FFF),
    st.integers(0, 255),
    st.integers(0, 255),
)


@given(st.lists(stored, max_size=5).map(tuple))
def test_minutiae_of_six_bytes_keep_everything(minutiae) -> None:
    data = fmr.encode_minutiae(minutiae)
    assert len(data) == 6 * len(minutiae)
    assert fmr.decode_minutiae(data) == minutiae


@given(st.lists(stored, max_size=5).map(tuple))
def test_minutiae_of_five_bytes_keep_all_but_the_quality(minutiae) -> None:
    data = fmr.encode_minutiae(minutiae, 5)
    assert len(data) == 5 * len(minutiae)
    for now, before in zip(fmr.decode_minutiae(data, 5), minutiae, strict=True):
        assert (now.type, now.x, now.y, now.angle) == (
            before.type,
            before.x,
            before.y,
            before.angle,
        )
        assert now.quality == fmr.NOT_REPORTED


@pytest.mark.parametrize(
    ("data", "reason"),
    [("c00000000000", "minutia type"), ("400040000000", "reserved bits"), ("400080000000", "bits")],
)
def test_reserved_bits_of_a_minutia_are_refused(data, reason) -> None:
    with pytest.raises(DecodeError, match=reason):
        fmr.decode_minutiae(bytes.fromhex(data))


def area(kind: int, data: bytes, counted: int = 0) -> bytes:
    return struct.pack(">HH", kind, len(data) + counted) + data


def test_a_block_counts_its_head_or_not_by_the_rules() -> None:
    assert list(fmr.blocks(area(0x0221, b"abc"), ISO_2005)) == [(0x0221, b"abc")]
    assert list(fmr.blocks(area(0x0221, b"abc", 4), INCITS)) == [(0x0221, b"abc")]
    with pytest.raises(DecodeError):
        list(fmr.blocks(area(0x0221, b"abc", 4), ISO_2005))
    with pytest.raises(DecodeError):
        list(fmr.blocks(area(0x0221, b"abc"), INCITS))


@pytest.mark.parametrize("kind", [0, 3, 4, 0xFF, 0x0100, 0xFF00])
def test_a_type_that_the_standard_keeps_is_refused(kind) -> None:
    with pytest.raises(DecodeError, match="reserved"):
        list(fmr.blocks(area(kind, b"", 4), INCITS))


@pytest.mark.parametrize("kind", [1, 2, 0x0101, 0xFFFF])
def test_a_type_of_the_standard_or_a_vendor_passes(kind) -> None:
    assert list(fmr.blocks(area(kind, b"x", 4), INCITS)) == [(kind, b"x")]


@pytest.mark.parametrize(("rules", "most"), [(ISO_2005, 0xFFFF), (INCITS, 0xFFFB)])
def test_a_block_is_as_long_as_its_length_can_say(rules, most) -> None:
    assert fmr.block(0x0221, b"abc", rules) == area(0x0221, b"abc", 4 if rules is INCITS else 0)
    assert len(fmr.block(0x0221, bytes(most), rules)) == most + 4
    with pytest.raises(DecodeError, match="too large"):
        fmr.block(0x0221, bytes(most + 1), rules)


@given(st.binary(max_size=30), st.sampled_from([ISO_2005, INCITS]))
def test_any_area_is_its_blocks_or_one_error(data, rules) -> None:
    try:
        found = list(fmr.blocks(data, rules))
    except DecodeError:
        return
    counted = 4 if rules is INCITS else 0
    assert b"".join(area(kind, inside, counted) for kind, inside in found) == data


@given(st.integers(0, 20), st.integers(0, 30))
def test_a_reader_gives_what_is_there_and_no_more(size, wanted) -> None:
    reader = fmr.Reader(bytes(range(size)))
    if wanted > size:
        with pytest.raises(DecodeError, match="thing cut short"):
            reader.take(wanted, "thing")
        assert reader.left() == size
    else:
        assert reader.take(wanted, "thing") == bytes(range(wanted))
        assert reader.left() == size - wanted


@pytest.mark.parametrize(
    "views",
    [[(2, 0)], [(2, 0), (2, 1), (7, 0)], [(2, 0), (7, 0), (2, 1)], [(p, 0) for p in range(11)]],
)
def test_views_numbered_from_zero_pass(views) -> None:
    fmr.check_numbers(views)


@pytest.mark.parametrize(
    "views",
    [[], [(2, 1)], [(2, 0), (2, 0)], [(2, 0), (2, 2)], [(2, 1), (2, 0)], [(2, 0)] * 177],
)
def test_views_numbered_otherwise_are_refused(views) -> None:
    with pytest.raises(DecodeError):
        fmr.check_numbers(views)


def test_the_largest_coordinate_at_the_least_resolution_is_still_a_minutia() -> None:
    corner = fmr.RecordMinutia(MinutiaType.OTHER, 0x3FFF, 0x3FFF, 179, 100)
    fmr.check_image(0xFFFF, 0xFFFF, fmr.MIN_PPCM, fmr.MIN_PPCM)
    fmr.check_minutiae((corner,), 0xFFFF, 0xFFFF, INCITS)
    (found,) = fmr.template_minutiae([corner], fmr.MIN_PPCM, 2 * fmr.MIN_PPCM, 180)
    assert math.isclose(found.x_px, 0x3FFF * 500 / (99 * 2.54))
    assert math.isclose(found.x_px, 2 * found.y_px)
    assert math.isclose(found.angle_rad, math.radians(358))


@pytest.mark.parametrize(
    ("width", "height", "x_ppcm", "y_ppcm"),
    [(0, 1, 197, 197), (1, 0x10000, 197, 197), (1, 1, 98, 197), (1, 1, 197, 0x10000)],
)
def test_an_image_that_cannot_be_is_refused(width, height, x_ppcm, y_ppcm) -> None:
    with pytest.raises(DecodeError):
        fmr.check_image(width, height, x_ppcm, y_ppcm)


def test_reprs_show_no_minutiae() -> None:
    one = fmr.RecordMinutia(MinutiaType.ENDING, 123, 234, 45, 67)
    shown = repr((one, fmr.FingerView(2, 0, 0, 80, (one,), b"secret")))
    assert not any(part in shown for part in ("123", "234", "secret"))
