"""What our records carry beside minutiae: one form, bounded, and nobody else's concern."""

import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.biometrics import extension, fmr
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.extension import Extension
from sdbox_agent.biometrics.minutia import Flow, MinutiaType
from sdbox_agent.errors import DecodeError

COUNTED = fmr.ViewRules((), 180, (), last_block_type=2, block_counts_its_head=True)
both_rules = pytest.mark.parametrize("rules", [iso.RULES, COUNTED])

stored = st.builds(
    fmr.RecordMinutia,
    st.sampled_from(MinutiaType),
    st.integers(0, 0x3FFF),
    st.integers(0, 0x3FFF),
    st.integers(0, 255),
    st.integers(0, 255),
)


@st.composite
def flows(draw) -> Flow:
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    certainty = rng.integers(0, 4, (rows, columns)).astype(np.uint8)
    angle = rng.integers(0, 256, (rows, columns)).astype(np.uint8)
    return Flow(np.where(certainty == 0, np.uint8(0), angle), certainty)


extensions = st.builds(Extension, st.lists(stored, max_size=5).map(tuple), st.none() | flows())


def same(one: Extension, other: Extension) -> bool:
    if one.second != other.second or (one.flow is None) != (other.flow is None):
        return False
    return one.flow is None or all(
        np.array_equal(getattr(one.flow, part), getattr(other.flow, part))
        for part in ("angle", "certainty")
    )


def block(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def ours(kind: int, data: bytes) -> bytes:
    return block(kind, b"sdb\x01" + data)


SECOND = ours(0x5301, bytes.fromhex("4064 00c8 40 63"))
FLOW = ours(0x5302, b"\x01\x02" + b"\x50\x00" + b"\xff\x00")


def test_blocks_written_by_hand_read_as_meant() -> None:
    found = extension.decode(SECOND + FLOW, iso.RULES)
    assert found.second == (fmr.RecordMinutia(MinutiaType.ENDING, 100, 200, 64, 99),)
    assert found.flow is not None
    assert found.flow.angle.tolist() == [[0x50, 0]]
    assert found.flow.certainty.tolist() == [[0xFF, 0]]
    assert extension.encode(found, iso.RULES) == SECOND + FLOW


@both_rules
@given(found=extensions)
def test_what_is_encoded_decodes_to_the_same(rules, found) -> None:
    assert same(extension.decode(extension.encode(found, rules), rules), found)


@given(
    st.binary(max_size=60) | st.lists(st.sampled_from([SECOND, FLOW, b"\1\1\0\0"])).map(b"".join)
)
@example(SECOND + FLOW + b"\0")
def test_any_area_is_ours_in_one_form_somebodys_or_an_error(data) -> None:
    try:
        found = extension.decode(data, iso.RULES)
    except DecodeError:
        return
    marked = [
        block(kind, inside)
        for kind, inside in fmr.blocks(data, iso.RULES)
        if kind in (0x5301, 0x5302) and inside.startswith(b"sdb\x01")
    ]
    assert extension.encode(found, iso.RULES) == b"".join(marked)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        block(0x5301, b"vendor's"),  # the same type of somebody else's
        block(0x5302, b"sdb\x02\0"),  # another version of ours
        block(0x0221, b"sdb\x01\0"),
        block(1, b"\0"),
    ],
)
def test_what_is_not_ours_is_left_alone(data) -> None:
    found = extension.decode(data, iso.RULES)
    assert found.second == ()
    assert found.flow is None
    assert extension.decode(data + SECOND + data, iso.RULES).second


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (SECOND + SECOND, "out of order"),
        (FLOW + SECOND, "out of order"),
        (FLOW + FLOW, "out of order"),
        (ours(0x5301, b""), "number of second minutiae"),
        (ours(0x5301, bytes(6 * 256)), "number of second minutiae"),
        (ours(0x5301, bytes(7)), "second minutiae cut short"),
        (ours(0x5301, b"\xc0" + bytes(5)), "minutia type is reserved"),
        (ours(0x5302, b"\x01"), "flow cut short"),
        (ours(0x5302, b"\x00\x02"), "not of its size"),
        (ours(0x5302, b"\x01\x02" + bytes(3)), "not of its size"),
        (ours(0x5302, b"\x01\x02" + bytes(5)), "not of its size"),
        (ours(0x5302, b"\x01\x01\x07\x00"), "where there are no ridges"),
    ],
)
def test_each_fault_has_its_reason(data, reason) -> None:
    with pytest.raises(DecodeError, match=reason):
        extension.decode(data, iso.RULES)


def test_a_direction_without_ridges_is_not_written() -> None:
    angle, certainty = np.full((2, 3), 9, np.uint8), np.zeros((2, 3), np.uint8)
    certainty[0, 1] = 200
    data = extension.encode(Extension((), Flow(angle, certainty)), iso.RULES)
    found = extension.decode(data, iso.RULES).flow
    assert found is not None
    assert found.angle.tolist() == [[0, 9, 0], [0, 0, 0]]


@pytest.mark.parametrize("shape", [(0, 1), (1, 0), (256, 1), (1, 256), (255, 255)])
def test_a_flow_that_has_no_room_is_not_written(shape) -> None:
    flow = Flow(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    with pytest.raises(DecodeError, match="large"):
        extension.encode(Extension((), flow), iso.RULES)


def test_more_second_minutiae_than_there_can_be_are_not_written() -> None:
    one = fmr.RecordMinutia(MinutiaType.OTHER, 0, 0, 0, 0)
    assert extension.encode(Extension((one,) * 255), iso.RULES)
    with pytest.raises(DecodeError, match="number of second minutiae"):
        extension.encode(Extension((one,) * 256), iso.RULES)


def test_a_flow_read_can_be_changed_by_nobody() -> None:
    flow = extension.decode(FLOW, iso.RULES).flow
    assert flow is not None
    with pytest.raises(ValueError, match="read-only"):
        flow.angle[0, 0] = 1


def test_a_flow_of_a_388_by_374_image_is_2_kb() -> None:
    rows, columns = -(-374 // 12), -(-388 // 12)
    flow = Flow(np.zeros((rows, columns), np.uint8), np.zeros((rows, columns), np.uint8))
    assert len(extension.encode(Extension((), flow), iso.RULES)) == 2122


def test_reprs_show_nothing() -> None:
    found = extension.decode(SECOND + FLOW, iso.RULES)
    assert repr((found, found.flow)) == "(<Extension of 1>, <Flow>)"
