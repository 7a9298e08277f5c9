"""Which sizes fit, and how what does not pass is found out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.tunnel.mtu import (
    CHECK_S,
    IPV4_LEAST_BYTES,
    IPV6_LEAST_BYTES,
    MOST_BYTES,
    TRIES,
    Width,
    inside,
)


@pytest.mark.parametrize(
    ("path_bytes", "version", "fits"),
    [
        (1500, 4, 1420),
        (1500, 6, 1420),
        (9000, 4, 1420),
        (1492, 4, 1420),
        (1492, 6, 1408),
        (1280, 6, 1200),
        (1280, 4, 1216),
        (576, 4, 512),
        (100, 4, 496),
    ],
)
def test_what_fits_a_way(path_bytes: int, version: int, fits: int) -> None:
    assert inside(path_bytes, version, IPV4_LEAST_BYTES) == fits
    assert inside(path_bytes, version, IPV6_LEAST_BYTES) == max(fits, 1280)


@given(st.integers(576, 9000))
def test_a_packet_that_fits_inside_fits_outside(path_bytes: int) -> None:
    """With header, type, receiver and counter (16), padding, tag (16): sections 5.4.6 and 2."""
    mtu = inside(path_bytes, 4, IPV4_LEAST_BYTES)
    padded = min(-(-mtu // 16) * 16, max(mtu, MOST_BYTES))
    assert 20 + 8 + 16 + padded + 16 <= path_bytes


def look(width: Width, passes_bytes: int, now_s: float = 0.0) -> float:
    """One look and its consequences; when it is over."""
    while width.next_s() < now_s + CHECK_S:
        at_s = width.next_s()
        for size in width.sizes(at_s, 0.0):
            if size <= passes_bytes:
                width.answered(at_s + 0.001, size)
    return at_s


@pytest.mark.parametrize(
    ("passes", "found"), [(1500, 1420), (1400, 1376), (1279, 1200), (496, 496)]
)
def test_the_largest_size_that_passes_is_found_in_one_look(passes: int, found: int) -> None:
    width = Width(MOST_BYTES, IPV4_LEAST_BYTES)
    end_s = look(width, passes)
    assert width.mtu_bytes == found
    assert end_s < 1.0


def test_where_all_passes_one_probe_is_enough() -> None:
    width = Width(MOST_BYTES, IPV4_LEAST_BYTES)
    assert width.sizes(0.0, 0.0) == (MOST_BYTES,)
    width.answered(0.01, MOST_BYTES)
    assert width.next_s() == 0.01 + CHECK_S


def test_ipv6_inside_is_never_taken_away() -> None:
    width = Width(MOST_BYTES, IPV6_LEAST_BYTES)
    look(width, 1300)
    assert width.mtu_bytes == IPV6_LEAST_BYTES


def test_where_no_size_passes_none_is_chosen() -> None:
    """A VM that answers small echo requests alone must not cost the session its packets."""
    width = Width(MOST_BYTES, IPV4_LEAST_BYTES)
    look(width, 100)
    assert width.mtu_bytes == MOST_BYTES
    assert CHECK_S <= width.next_s() < CHECK_S + 2


def test_at_the_least_size_nothing_is_left_to_do() -> None:
    width = Width(IPV4_LEAST_BYTES, IPV4_LEAST_BYTES)
    assert width.next_s() == math.inf
    assert width.sizes(100.0, 0.0) == ()


def test_a_lost_full_size_probe_or_two_narrow_nothing() -> None:
    width = Width(MOST_BYTES, IPV4_LEAST_BYTES)
    for _ in range(TRIES - 1):
        assert MOST_BYTES in width.sizes(width.next_s(), 0.0)
    width.answered(width.next_s() - 0.01, 1200)
    width.answered(width.next_s(), MOST_BYTES)
    assert width.mtu_bytes == MOST_BYTES


def test_an_answer_of_another_size_is_nothing() -> None:
    width = Width(MOST_BYTES, IPV4_LEAST_BYTES)
    width.answered(0.0, 44)
    width.answered(0.0, 1500)
    assert width.next_s() == 0.0


def test_a_look_waits_while_nothing_is_answered() -> None:
    width = Width(MOST_BYTES, IPV4_LEAST_BYTES)
    for _ in range(TRIES):
        width.sizes(width.next_s(), 0.0)
    at_s = width.next_s()
    width.wait(at_s)
    assert width.next_s() > at_s
    assert width.sizes(width.next_s(), 0.0) == (MOST_BYTES,)  # from the beginning
    width.answered(width.next_s(), MOST_BYTES)
    proved_s = width.next_s()
    width.wait(at_s)  # not due: nothing to put off
    assert width.next_s() == proved_s
