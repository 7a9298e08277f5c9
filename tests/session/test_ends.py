"""Ends, case by case; the exploration in test_machine.py has them all."""

import pytest

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.ends import end, noting, unforeseen
from sdbox_agent.session.events import Timer
from sdbox_agent.session.machine import step
from tests.session.explore import POLICY

LIVE = at.Checking(at.Session(4, 1, 0))


def names(effects: tuple[do.Effect, ...]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def test_the_order_of_an_end_is_the_promise() -> None:
    closing, effects = end(LIVE, "card-removed", frozenset())
    order = ["TakeTunnelDown", "ClearTimers", "SetTimer", "EndFinger", "CloseCard"]
    assert names(effects) == order
    assert closing == at.Closing(4, "card-removed", frozenset(), 1, 0)
    assert unforeseen(LIVE)[0].code == "unforeseen"


def test_the_end_is_recorded_and_told_only_when_nothing_is_up() -> None:
    closing, effects = end(LIVE, "cancelled")
    assert not {"Record", "TellCentre"} & set(names(effects))
    spent, effects = step(closing, on.TunnelDown(4), POLICY)
    assert names(effects) == ["ClearTimers", "Record", "TellCentre"]
    assert spent == at.Spent(4, "cancelled", frozenset({1}), 0)


def test_the_word_for_another_session_confirms_nothing() -> None:
    closing, _ = end(LIVE, "cancelled")
    assert step(closing, on.TunnelDown(3), POLICY) == (closing, ())


@pytest.mark.parametrize("tries", range(4))
def test_a_retryable_fault_is_tried_again_later_and_later(tries: int) -> None:
    closing = at.Closing(4, "centre-unreachable", frozenset({1}), 1, tries)
    spent, effects = step(closing, on.TunnelDown(4), POLICY)
    assert effects[-1] == do.SetTimer(4, Timer.RETRY, min(5.0 * 2**tries, 60.0))
    begun, _ = step(spent, on.TimedOut(4, Timer.RETRY), POLICY)
    assert begun == at.Checking(at.Session(5, 1, tries + 1))


def test_two_cards_must_both_come_out() -> None:
    closing = at.Closing(4, "card-removed", frozenset({2, 3}), 1)
    spent, _ = step(closing, on.TunnelDown(4), POLICY)
    assert (spent.code, spent.cards) == ("ambiguous-card", frozenset({2, 3}))


def test_after_start_up_the_box_is_idle_and_nobody_is_told() -> None:
    state, effects = step(at.Closing(0, "started", frozenset(), None), on.TunnelDown(0), POLICY)
    assert (state, names(effects)) == (at.Idle(0), ["ClearTimers"])


def test_a_record_comes_first_but_never_before_the_tunnel_goes_down() -> None:
    record = do.Record(4, "no-match")
    assert names(noting(record, (LIVE, (do.ScanFinger(4),)))[1]) == ["Record", "ScanFinger"]
    _, effects = noting(record, end(LIVE, "card-blocked"))
    assert names(effects)[0] == "TakeTunnelDown"
    assert effects[-1] == record
