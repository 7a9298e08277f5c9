"""The counter alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.card.apdu import Refusal
from hil.card.retries import Retries


def sw_of(retries: Retries, *, right: bool) -> int:
    try:
        retries.attempt(lambda: right)
    except Refusal as refusal:
        return refusal.sw
    return 0x9000


@given(st.integers(1, 10), st.lists(st.booleans(), max_size=30))
def test_it_counts_the_failures_in_a_row(most: int, outcomes: list[bool]) -> None:
    retries, row = Retries(most), 0
    for right in outcomes:
        sw = sw_of(retries, right=right)
        if row == most:
            assert sw == 0x6983
        elif right:
            row = 0
            assert sw == 0x9000
        else:
            row += 1
            assert sw == 0x63C0 | most - row
        assert retries.left == most - row
        assert retries.state().sw == (0x63C0 | most - row if row < most else 0x6983)


def test_the_try_is_spent_before_the_comparison() -> None:
    retries = Retries(3)
    seen = []
    retries.attempt(lambda: seen.append(retries.left) or True)
    assert (seen, retries.left) == ([2], 3)


def test_a_comparison_that_breaks_off_has_cost_its_try() -> None:
    retries = Retries(3)
    with pytest.raises(ZeroDivisionError):
        retries.attempt(lambda: 1 / 0 > 0)
    assert retries.left == 2


def test_without_tries_nothing_is_compared() -> None:
    retries = Retries(1)
    retries.block()
    with pytest.raises(Refusal):
        retries.attempt(lambda: pytest.fail("compared"))


@pytest.mark.parametrize("most", [0, 11])
def test_the_standards_bounds_hold(most: int) -> None:
    with pytest.raises(ValueError, match="tries"):
        Retries(most)
