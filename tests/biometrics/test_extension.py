"""What our records carry beside minutiae: one form, bounded, and nobody else's concern."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.biometrics import extension, fmr
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.minutia import MinutiaType
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


def block(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data)) + data


def ours(data: bytes) -> bytes:
    return block(0x5301, b"sdb\x01" + data)


SECOND = ours(bytes.fromhex("4064 00c8 40 63"))
OTHERS = [
    b"",
    block(0x5301, b"vendor's"),  # the same type of somebody else's
    block(0x5301, b"sdb"),
    block(0x5301, b"sdb\x02\0"),  # another version of ours
    block(0x5302, b"sdb\x01\0"),  # our mark under another type
    block(0x0221, b"sdb\x01\0"),
    block(1, b"\0"),
]


def test_a_block_written_by_hand_reads_as_meant() -> None:
    found = extension.decode(SECOND, iso.RULES)
    assert found == (fmr.RecordMinutia(MinutiaType.ENDING, 100, 200, 64, 99),)
    assert extension.encode(found, iso.RULES) == SECOND


@both_rules
@given(found=st.lists(stored, max_size=5).map(tuple))
def test_what_is_encoded_decodes_to_the_same(rules, found) -> None:
    assert extension.decode(extension.encode(found, rules), rules) == found


@given(st.binary(max_size=60) | st.lists(st.sampled_from([SECOND, *OTHERS])).map(b"".join))
@example(SECOND + b"\0")
def test_any_area_is_ours_in_one_form_somebodys_or_an_error(data) -> None:
    try:
        found = extension.decode(data, iso.RULES)
    except DecodeError:
        return
    marked = [
        block(kind, inside)
        for kind, inside in fmr.blocks(data, iso.RULES)
        if kind == 0x5301 and inside.startswith(b"sdb\x01")
    ]
    assert extension.encode(found, iso.RULES) == b"".join(marked)


@pytest.mark.parametrize("data", OTHERS)
def test_what_is_not_ours_is_left_alone(data) -> None:
    assert extension.decode(data, iso.RULES) == ()
    assert len(extension.decode(data + SECOND + data, iso.RULES)) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (SECOND + SECOND, "second minutiae twice"),
        (SECOND + block(1, b"") + SECOND, "second minutiae twice"),
        (ours(b""), "number of second minutiae"),
        (ours(bytes(6 * 256)), "number of second minutiae"),
        (ours(bytes(5)), "second minutiae cut short"),
        (ours(bytes(7)), "second minutiae cut short"),
        (ours(b"\xc0" + bytes(5)), "minutia type is reserved"),
        (ours(b"\0\0\x40" + bytes(3)), "reserved bits of a minutia"),
        (SECOND[:-1], "extended block cut short"),
    ],
)
def test_each_fault_has_its_reason(data, reason) -> None:
    with pytest.raises(DecodeError, match=reason):
        extension.decode(data, iso.RULES)


def test_nothing_found_is_nothing_written() -> None:
    assert extension.encode((), iso.RULES) == b""


def test_more_second_minutiae_than_there_can_be_are_not_written() -> None:
    one = fmr.RecordMinutia(MinutiaType.OTHER, 0, 0, 0, 0)
    most = (one,) * 255
    assert extension.decode(extension.encode(most, iso.RULES), iso.RULES) == most
    with pytest.raises(DecodeError, match="number of second minutiae"):
        extension.encode((*most, one), iso.RULES)


def test_reprs_show_nothing() -> None:
    assert repr(extension.decode(SECOND, iso.RULES)) == "(<RecordMinutia>,)"
