"""The PIN and its counter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.card.apdu import Refusal
from hil.card.pin import Pin

GOOD = b"123456\xff\xff"
WRONG = b"654321\xff\xff"


def refusal_of(pin: Pin, field: bytes) -> int:
    with pytest.raises(Refusal) as refusal:
        pin.check(field)
    return refusal.value.sw


def test_wrong_pins_count_down_and_a_right_one_starts_again() -> None:
    pin = Pin("123456", 3)
    assert [refusal_of(pin, WRONG), refusal_of(pin, WRONG)] == [0x63C2, 0x63C1]
    pin.check(GOOD)
    assert pin.tries_left == 3


def test_a_blocked_pin_stays_blocked_for_the_right_one_too() -> None:
    pin = Pin("123456", 1)
    assert refusal_of(pin, WRONG) == 0x63C0
    assert refusal_of(pin, GOOD) == 0x6983
    assert pin.tries_left == 0


@pytest.mark.parametrize(
    "field",
    [b"", b"123456", b"12345\xff\xff\xff", b"12345\xff78", b"12345a\xff\xff", b"123456\x00\x00"],
)
def test_what_is_no_pin_costs_no_try(field: bytes) -> None:
    pin = Pin("123456", 3)
    assert refusal_of(pin, field) == 0x6A80
    assert pin.tries_left == 3


def answer(pin: Pin, field: bytes) -> int:
    try:
        pin.check(field)
    except Refusal as refusal:
        return refusal.sw
    return 0x9000


@given(st.lists(st.sampled_from([GOOD, WRONG, b"12345678", b"no pin!!"]), max_size=30))
def test_the_counter_is_that_of_the_failures_in_a_row(fields: list[bytes]) -> None:
    pin, row = Pin("123456", 4), 0
    for field in fields:
        sw = answer(pin, field)
        if row == 4:
            assert sw == 0x6983
        elif field == b"no pin!!":
            assert sw == 0x6A80
        elif field == GOOD:
            assert sw == 0x9000
            row = 0
        else:
            row += 1
            assert sw == 0x63C0 | 4 - row
        assert pin.tries_left == 4 - row


@pytest.mark.parametrize(("digits", "tries"), [("12345", 3), ("123456789", 3), ("12345a", 3)])
def test_the_standards_bounds_hold(digits: str, tries: int) -> None:
    with pytest.raises(ValueError, match="digits"):
        Pin(digits, tries)
    for count in (0, 11):
        with pytest.raises(ValueError, match="tries"):
            Pin("123456", count)


def test_the_digits_are_not_shown() -> None:
    assert "123456" not in repr(Pin("123456", 3))
