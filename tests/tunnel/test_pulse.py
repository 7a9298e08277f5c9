"""How much silence is too much, over lines that are bad in every way but dead."""

import random

import pytest

from sdbox_agent.tunnel.life import Over
from sdbox_agent.tunnel.pulse import LEAST_PROBES, PROBE_S, RESOLVE_S, SILENCE_S, Pulse
from tests.tunnel.line import Line, up


def test_one_lost_probe_is_followed_closely_and_ends_nothing() -> None:
    pulse = Pulse(0.0, 0.01)
    assert not pulse.due(PROBE_S - 0.01)
    pulse.probed(PROBE_S, 1)
    assert not pulse.missing
    pulse.probed(pulse.next_s(), 2)
    assert pulse.missing
    assert pulse.next_s() < PROBE_S + 0.2
    pulse.answered(pulse.next_s(), 2)
    assert not pulse.missing
    assert not pulse.lost(SILENCE_S + 0.1)


def test_a_process_that_was_kept_from_running_loses_nothing_by_it() -> None:
    pulse = Pulse(0.0, 0.01)
    now_s = 30.0  # not once scheduled in that time
    for number in range(LEAST_PROBES):
        assert not pulse.lost(now_s)
        pulse.probed(now_s, number)
        now_s += 0.05
    assert pulse.lost(now_s)


def test_the_usual_time_of_an_answer_is_learnt() -> None:
    pulse = Pulse(0.0, 0.0)
    now_s = 0.0
    for number in range(50):
        now_s += PROBE_S
        pulse.probed(now_s, number)
        pulse.answered(now_s + 0.2, number)
    assert pulse.round_trip_s == pytest.approx(0.2, rel=0.01)
    pulse.probed(now_s, 50)
    assert pulse.next_s() - now_s == pytest.approx(0.3, rel=0.01)


def test_an_answer_that_nobody_waits_for_is_life_but_tells_no_time() -> None:
    pulse = Pulse(0.0, 0.01)
    pulse.probed(0.4, 1)
    pulse.answered(0.8, 77)
    assert (pulse.alive_s, pulse.round_trip_s) == (0.8, 0.01)


def test_a_way_that_changed_has_time_to_find_its_neighbours_once() -> None:
    pulse = Pulse(0.0, 0.0)
    for number in range(LEAST_PROBES):
        pulse.probed(0.4, number)
    pulse.way_changed(0.5)
    assert pulse.due(0.5)
    end_s = 0.5 + RESOLVE_S + SILENCE_S
    assert not pulse.lost(end_s - 0.01)
    pulse.way_changed(1.5)  # over and over, and nobody answers
    assert pulse.lost(end_s)
    pulse.answered(end_s, 0)
    pulse.way_changed(end_s + 0.2)
    for number in range(LEAST_PROBES):
        pulse.probed(end_s + 0.2, number)
    assert not pulse.lost(end_s + 1.0)


def test_what_comes_out_of_the_tunnel_is_life_once_it_grows() -> None:
    pulse = Pulse(0.0, 0.01)
    pulse.received(0.5, 1000)
    pulse.received(0.6, 1000)
    assert pulse.alive_s == 0.0
    pulse.received(0.7, 1001)
    assert pulse.alive_s == 0.7
    pulse.received(0.8, 2000)  # a first look again
    assert pulse.alive_s == 0.7


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("round_trip_s", [0.002, 0.08, 0.3])
def test_an_hour_on_a_line_that_loses_one_in_ten_each_way(seed: int, round_trip_s: float) -> None:
    line = Line(round_trip_s=round_trip_s, loss=0.19, chance=random.Random(seed))
    up(line).run(3600.0)
    assert line.life.pulse is not None


def test_a_line_that_loses_nine_in_ten_is_lost() -> None:
    line = Line(chance=random.Random(1))
    up(line)
    line.loss = 0.9
    with pytest.raises(Over, match="tunnel-lost"):
        line.run(3600.0)
