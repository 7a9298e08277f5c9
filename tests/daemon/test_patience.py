"""Not before the centre said, and never all boxes at once."""

import pytest

from sdbox_agent.daemon.patience import FIRST_SPREAD_S, SPREAD, Patience


class Clock:
    now_s = 100.0


def patience(share: float) -> tuple[Clock, Patience]:
    clock = Clock()
    return clock, Patience(lambda: clock.now_s, lambda: share)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_each_box_adds_a_share_of_its_own(share: float) -> None:
    _, one = patience(share)
    assert one.first_s() == one.first_s(20.0) == FIRST_SPREAD_S * share
    assert one.first_s(10_000.0) == 0, "the agent was started again, and the machine was not"
    assert one.again_s(4.0) == 4.0 * (1 + SPREAD * share)


def test_what_the_centre_said_is_waited_for_and_no_longer() -> None:
    clock, one = patience(0.0)
    one.busy(30.0)
    assert one.again_s(5.0) == 30.0
    clock.now_s += 20.0
    assert one.again_s(5.0) == 10.0
    clock.now_s += 8.0
    assert one.again_s(5.0) == 5.0
    clock.now_s += 8.0
    assert one.again_s(5.0) == 5.0
