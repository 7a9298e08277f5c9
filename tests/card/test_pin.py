"""The PIN's field, its command, and overwriting both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import pin
from sdbox_agent.errors import DecodeError


@given(st.text("0123456789", min_size=6, max_size=8))
def test_six_to_eight_digits_are_a_field(digits: str) -> None:
    pin.check(bytearray(digits.encode().ljust(8, b"\xff")))


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"12345\xff\xff\xff",
        b"12345678\xff",
        b"1234567",
        b"123456\xff7",
        b"123456\x00\x00",
        b"12345a\xff\xff",
        b"\xff" * 8,
        b"\xff123456\xff",
        b"\xb2" * 8,
    ],
)
def test_anything_else_is_not(field: bytes) -> None:
    with pytest.raises(DecodeError):
        pin.check(bytearray(field))


def test_the_command_is_the_standards() -> None:
    field = bytearray(b"123456\xff\xff")
    frame = pin.command(field)
    assert frame.hex() == "0020008008" + "313233343536ffff"
    pin.wipe(frame)
    assert frame == bytes(13)
    pin.wipe(memoryview(field)[2:4])
    assert field == b"12\x00\x0056\xff\xff"
