"""Hello is said until it is answered, each time later, and no two boxes at the same time."""

from collections.abc import Callable

import pytest

from sdbox_agent.daemon.greeting import MAX_RETRY_S, Greeting
from sdbox_agent.daemon.patience import FIRST_SPREAD_S, Patience
from tests.daemon.parts import Loop


class Centre:
    def __init__(self) -> None:
        self.asked: list[tuple[Callable, Callable]] = []

    def ask(self, done: Callable, failed: Callable) -> None:
        self.asked.append((done, failed))

    def fail(self) -> None:
        self.asked[-1][1]("centre-unreachable")

    def answer(self) -> None:
        self.asked[-1][0]()


def started(share: float = 0.0) -> tuple[Loop, Centre, Greeting, list[str]]:
    loop, centre, told = Loop(), Centre(), []
    patience = Patience(lambda: loop.now_s, lambda: share)
    greeting = Greeting(loop, centre.ask, patience, told.append)  # type: ignore[arg-type]
    greeting.begin()
    loop.move(FIRST_SPREAD_S * share)
    return loop, centre, greeting, told


def test_it_backs_off_to_a_minute_and_says_why() -> None:
    loop, centre, _, told = started()
    waits = []
    for _ in range(9):
        centre.fail()
        (due_s,) = loop.waiting()
        waits.append(due_s - loop.now_s)
        loop.move(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, MAX_RETRY_S, MAX_RETRY_S, MAX_RETRY_S]
    assert len(centre.asked) == 10
    assert told == ["centre-unreachable"] * 9


@pytest.mark.parametrize(("share", "waits_s"), [(0.0, 1.0), (0.5, 1.25), (1.0, 1.5)])
def test_each_box_waits_a_share_of_its_own(share: float, waits_s: float) -> None:
    loop, centre, _, _ = started(share)
    centre.fail()
    assert loop.waiting() == [loop.now_s + waits_s]


def test_once_answered_it_is_never_said_again() -> None:
    loop, centre, greeting, _ = started()
    centre.fail()
    loop.move(1)
    centre.answer()
    greeting.hurry()
    loop.move(1000)
    assert len(centre.asked) == 2
    assert loop.waiting() == []


def test_a_card_makes_it_hurry_but_never_twice_at_once() -> None:
    loop, centre, greeting, _ = started()
    greeting.hurry()
    assert len(centre.asked) == 1, "it is under way"
    for _ in range(6):
        centre.fail()
        loop.move(MAX_RETRY_S)
    centre.fail()
    before = len(centre.asked)
    greeting.hurry()
    greeting.hurry()
    assert len(centre.asked) == before + 1
    centre.fail()
    assert loop.waiting() == [loop.now_s + 1], "and the back-off starts anew"


def test_after_a_start_it_waits_for_its_turn_unless_a_card_comes() -> None:
    loop, centre = Loop(), Centre()
    patience = Patience(lambda: loop.now_s, lambda: 0.5)
    greeting = Greeting(loop, centre.ask, patience, lambda _code: None)  # type: ignore[arg-type]
    greeting.begin()
    assert loop.waiting() == [FIRST_SPREAD_S / 2]
    loop.move(1)
    assert centre.asked == []
    greeting.hurry()
    assert len(centre.asked) == 1
    assert loop.waiting() == []
