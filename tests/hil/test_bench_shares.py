"""Time is divided so that nothing of ours is given to others, and nothing is counted twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.bench_shares import covered_ns, of_card, of_centre, of_wireguard, shares
from hil.card.insertion import Exchange
from hil.net.observe import Frame

MS = 1_000_000
TIMES = st.integers(0, 60)
SPANS = st.lists(st.tuples(TIMES, TIMES), max_size=6)


@given(SPANS, TIMES, TIMES)
def test_what_is_covered_is_what_counting_says(spans, begin, length) -> None:
    within = (begin, begin + length)
    counted = sum(any(a <= t < b for a, b in spans) for t in range(*within))
    assert covered_ns(spans, within) == counted


def test_card_and_centre_at_once_count_once() -> None:
    card, centre = [(0, 10 * MS)], [(5 * MS, 20 * MS)]
    divided = shares((0, 50 * MS), card, centre)
    assert (divided.card_ms, divided.centre_ms, divided.ours_ms) == (10, 15, 30)
    assert (divided.wall_ms, divided.exchanges) == (50, 1)


def test_what_is_before_and_after_is_left_out() -> None:
    divided = shares((10 * MS, 20 * MS), [(0, 11 * MS), (19 * MS, 30 * MS)], [(40 * MS, 50 * MS)])
    assert (divided.card_ms, divided.centre_ms, divided.ours_ms) == (2, 0, 8)
    assert divided.exchanges == 1


def test_an_end_before_its_beginning_is_no_wait() -> None:
    with pytest.raises(ValueError, match="before"):
        shares((2, 1), [], [])


def test_the_card_is_busy_from_command_to_answer() -> None:
    assert of_card([Exchange(1, 0, 0xCB, 0, 0, 5, 2, 0x9000, 100, 7)]) == [(100, 107)]


def frame(
    time_ns: int, *, outgoing: bool, length: int = 200, port: int = 443, protocol: int = 6
) -> Frame:
    ports = (port, 50000) if outgoing else (50000, port)
    return Frame(time_ns, outgoing, 0x0800, protocol, "", "", *ports, None, length)


def udp(time_ns: int, *, outgoing: bool, port: int = 51820) -> Frame:
    return frame(time_ns, outgoing=outgoing, port=port, protocol=17)


def test_wireguard_is_busy_from_its_first_word_to_the_first_answer_from_inside() -> None:
    frames = [
        udp(5, outgoing=False, port=51821),  # another's
        udp(10, outgoing=False),  # initiation
        frame(11, outgoing=True),
        udp(14, outgoing=True),  # response
        udp(15, outgoing=False),  # the first packet
        udp(19, outgoing=True),  # its answer
        udp(30, outgoing=False),
    ]
    assert of_wireguard(frames, 51820, 2) == [(8, 17)]
    assert of_wireguard(frames[:5], 51820, 2) == []
    assert of_wireguard([], 51820, 2) == []


def test_the_centre_is_busy_from_the_last_of_a_request_to_the_last_of_its_answer() -> None:
    frames = [
        frame(5, outgoing=True),  # of a request that nobody saw
        frame(10, outgoing=False),
        frame(12, outgoing=False),
        frame(13, outgoing=True, length=66),  # an acknowledgement
        frame(20, outgoing=True),
        frame(21, outgoing=False, length=66),
        frame(25, outgoing=True),
        frame(30, outgoing=False),
        frame(35, outgoing=False, port=51820),  # somebody else's
        frame(36, outgoing=True, port=51820),
        frame(40, outgoing=True),
        frame(50, outgoing=False),  # not answered any more
    ]
    assert of_centre(frames, 443, 2) == [(10, 23), (28, 38)]
    assert of_centre(frames[:-1], 443, 0) == [(12, 25), (30, 40)]
