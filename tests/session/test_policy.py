"""Deadlines and names that the machine is given."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.session.policy import Policy

POLICY = Policy(box="box-01", boot_id="b")


def back_off_s(tries: int) -> float:
    return POLICY.back_off_s(tries, "centre-unreachable")


@given(st.integers(0, 10_000))
def test_the_back_off_doubles_and_has_an_end(tries: int) -> None:
    assert POLICY.retry_s <= back_off_s(tries) <= POLICY.retry_max_s
    assert all(
        later == min(2 * sooner, POLICY.retry_max_s)
        for sooner, later in pairwise(map(back_off_s, range(12)))
    )


@given(st.integers(1, 10_000))
def test_who_stands_before_a_busy_centre_waits_no_longer_each_time(tries: int) -> None:
    assert POLICY.back_off_s(0, "centre-busy") == POLICY.retry_s
    assert POLICY.back_off_s(tries, "centre-busy") == 2 * POLICY.retry_s


def test_a_session_s_name_is_unique_over_starts() -> None:
    other = Policy(box="box-01", boot_id="c")
    assert len({one.session_id(n) for one in (POLICY, other) for n in range(3)}) == 6
