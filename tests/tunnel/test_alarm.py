"""An alarm on the clock that goes on in sleep."""

import select
import time
from collections.abc import Iterator

import pytest

from sdbox_agent.tunnel.alarm import Alarm, now_s


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    made = Alarm()
    yield made
    made.close()


def rings(alarm: Alarm, within_s: float) -> bool:
    return bool(select.select([alarm], [], [], within_s)[0])


def test_the_clock_counts_the_boxs_sleep() -> None:
    assert now_s() >= time.monotonic() - 1e-3
    assert abs(now_s() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 10


def test_it_rings_at_its_time_and_not_before(alarm: Alarm) -> None:
    at_s = now_s() + 0.05
    alarm.set(at_s)
    assert rings(alarm, 30)
    assert now_s() >= at_s


@pytest.mark.parametrize("past_s", [-5.0, 0.0, 1.0])
def test_a_time_that_is_past_rings_at_once(alarm: Alarm, past_s: float) -> None:
    alarm.set(past_s)
    assert rings(alarm, 30)


def test_set_again_it_rings_for_the_new_time_alone(alarm: Alarm) -> None:
    alarm.set(0.0)
    assert rings(alarm, 30)
    alarm.set(now_s() + 3600)
    assert not rings(alarm, 0.05)
    alarm.set(0.0)
    alarm.set(None)
    assert not rings(alarm, 0.05)


def test_one_that_can_t_be_set_is_an_error() -> None:
    closed = Alarm()
    closed.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.set(1.0)
