"""The BIT group, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.card import bits
from hil.card.objects import Tag, on_wire
from hil.card.tlv import TlvError, encode

# SP 800-76-2, table 7, with this card's limits: right index.
ONE = "7F6122020101" + "7F601C830196A117810108820109870201018802000" + "5B10781020C3C820109"


def test_a_group_is_as_the_standard_has_it() -> None:
    assert on_wire(Tag.BIT_GROUP, bits.group({0x96: 2})).hex().upper() == ONE
    two = on_wire(Tag.BIT_GROUP, bits.group({0x96: 1, 0x97: 10}))
    assert len(two) == 68
    assert two.hex().upper().startswith("7F6141020102")
    assert on_wire(Tag.BIT_GROUP, bits.group({})).hex() == "7f6103020100"


def test_right_fingers_have_bit_0_and_left_ones_bit_1() -> None:
    right = [bits.SUBTYPES[position] for position in range(1, 6)]
    left = [bits.SUBTYPES[position] for position in range(6, 11)]
    assert [bytes([r]).hex() for r in right] == ["05", "09", "0d", "11", "15"]
    assert [r ^ 0x03 for r in right] == left


def test_a_position_that_is_no_finger_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 10"):
        bits.group({0x96: 0})


def test_what_is_made_is_read() -> None:
    found = bits.parse(bits.group({0x96: 2, 0x97: 7}))
    assert found == {0x96: bits.Bit(0x96, 12, 60), 0x97: bits.Bit(0x97, 12, 60)}
    assert bits.parse(b"\x02\x01\x00") == {}


@given(st.binary(max_size=80) | st.builds(lambda a: b"\x02\x01\x01" + a, st.binary(max_size=60)))
def test_any_bytes_are_a_group_or_a_tlv_error(data: bytes) -> None:
    try:
        found = bits.parse(data)
    except TlvError:
        return
    assert all(1 <= bit.minimum <= bit.maximum <= 85 for bit in found.values())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x03\x01\x00",
        b"\x02\x01\x01",
        b"\x02\x01\x02" + encode(0x7F60, b""),
        bits.group({0x96: 2}) + bits.group({0x97: 2})[3:],  # one, it says, and there are two
        b"\x02\x01\x02" + 2 * bits.group({0x96: 2})[3:],  # one key twice
        bits.group({0x96: 2}).replace(b"\x0c\x3c", b"\x3c\x0c"),  # more at least than at most
        bits.group({0x96: 2}).replace(b"\x0c\x3c", b"\x0c\x56"),  # more than the card compares
        bits.group({0x96: 2}).replace(b"\x83\x01\x96", b"\x84\x01\x96"),
    ],
)
def test_what_is_no_group_is_refused(content: bytes) -> None:
    with pytest.raises(TlvError):
        bits.parse(content)


@pytest.mark.parametrize(
    ("size", "taken"), [(33, False), (36, True), (37, False), (180, True), (183, False), (0, False)]
)
def test_a_probe_is_of_whole_minutiae_and_neither_few_nor_many(size: int, taken: bool) -> None:
    assert bits.Bit(0x96, 12, 60).takes(bytes(size)) is taken


def test_a_probe_may_come_in_a_verification_object() -> None:
    probe = bytes(range(180))
    assert bits.probe_of(bytes.fromhex("7F2E81B78181B4") + probe) == probe
    for wrong in (probe, encode(0x7F2E, probe[:3]), encode(0x81, probe), b""):
        with pytest.raises(TlvError):
            bits.probe_of(wrong)
