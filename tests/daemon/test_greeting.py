"""Hello is said until it is answered, each time later, and no two boxes at the same time."""

from collections.abc import Callable

import pytest

from sdbox_agent.daemon.greeting import MAX_RETRY_S, Greeting
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


def started(share: float = 1.0) -> tuple[Loop, Centre, Greeting, list[str]]:
    loop, centre, told = Loop(), Centre(), []
    greeting = Greeting(loop, centre.ask, lambda: share, told.append)  # type: ignore[arg-type]
    greeting.say()
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


@pytest.mark.parametrize(("share", "waits_s"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_each_box_waits_a_share_of_its_own(share: float, waits_s: float) -> None:
    loop, centre, _, _ = started(share)
    centre.fail()
    assert loop.waiting() == [waits_s]


def test_once_answered_it_is_never_said_again() -> None:
    loop, centre, greeting, _ = started()
    centre.fail()
    loop.move(1)
    centre.answer()
    greeting.hurry()
    greeting.say()
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
