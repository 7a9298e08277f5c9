"""What becomes of a scenario: passed, repeated, skipped with its reason, failed; and what is told.

The box is a row of views that each gesture sets off; the whole, with a real one, is test_main.
"""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from hil.net.oracle import Leaked
from hil.operator import Waited
from hil.real.person import NOBODY, Person
from hil.real.stage import Skipped, Stage
from sdbox_agent.daemon.view import View

PATIENCE_S = 0.3


class World:
    """A box, hands that set it off, and a rig around both."""

    def __init__(self, shows: dict[str, list[tuple[str, str | None]]]) -> None:
        self.shows = shows
        self.views = [view("idle")]
        self.coming = []
        self.asked: list[str] = []
        self.oracle = self
        self.leaks = False

    def watch(self) -> "World":
        return self

    def state(self, _: str) -> None:
        pass

    def ask(self) -> None:
        if self.leaks:
            raise Leaked

    def until(self, _wanted: Callable[[View], bool], what: str, within_s: float) -> View:
        if not self.coming:
            time.sleep(min(within_s, 0.01))
            raise Waited(what)
        self.views.append(self.coming.pop(0))
        return self.views[-1]

    def perform(self, gesture: str) -> None:
        self.asked.append(gesture)
        if gesture == "unplug-reader":
            raise Skipped("no plug")
        self.coming += [view(*one) for one in self.shows.get(gesture, [])]

    def touch(self, finger: str) -> None:
        self.perform(finger)


_clock = iter(range(1, 10**6))


def view(state: str, code: str | None = None) -> View:
    return View(n=1, state=state, code=code, mono_ms=10.0 * next(_clock), waits=state == "scanning")


class Play:
    """One stage, with a keyboard to type at."""

    def __init__(self, **shows: list[tuple[str, str | None]]) -> None:
        self.world = World({name.replace("_", "-"): row for name, row in shows.items()})
        self.keyboard, self.hand = os.pipe()
        self.lines: list[str] = []
        person = Person("en", self.lines.append, self.keyboard)
        self.stage = Stage(self.world, person, self.world, PATIENCE_S)

    def type(self, text: bytes) -> None:
        os.write(self.hand, text)

    def close(self) -> None:
        os.close(self.keyboard)
        os.close(self.hand)


GOOD = {
    "insert_card": [("checking", None), ("scanning", "place-finger")],
    "first": [("reserving", None), ("comparing", None), ("open", None)],
    "remove_card": [("closing", "card-removed"), ("spent", "card-removed"), ("idle", None)],
}


@pytest.fixture
def good() -> Iterator[Play]:
    one = Play(**GOOD)
    yield one
    one.close()


def session(stage: Stage) -> None:
    stage.do("insert-card", "scanning")
    stage.do("place-finger", "open", finger="first")
    stage.do("remove-card", "spent", code="card-removed")


def test_what_is_seen_in_time_passes_with_its_steps_and_the_boxs_own_times(good: Play) -> None:
    result = good.stage.play("session", session)
    assert (result.verdict, result.reason, result.repeats) == ("passed", "", 0)
    seen = [(step.gesture, step.seen) for step in result.steps]
    assert seen == [
        ("insert-card", "scanning (place-finger)"),
        ("place-finger", "open"),
        ("remove-card", "spent (card-removed)"),
    ]
    assert result.box_ms.keys() == {"checking", "reserving", "comparing", "closing"}
    assert good.world.asked == ["insert-card", "first", "remove-card"]
    assert "Place the right index finger, and again whenever asked." in good.lines
    assert any("card-removed" in line for line in good.lines), "the box's own words are passed on"


def test_a_finger_is_laid_again_whenever_the_box_waits_anew(good: Play) -> None:
    again, rows = [], iter([[("comparing", None), ("scanning", "no-match")], [("open", None)]])

    def touch(finger: str) -> None:
        again.append(finger)
        good.world.coming += [view(*one) for one in next(rows)]

    good.world.touch = touch
    assert good.stage.play("session", session).verdict == "passed"
    assert again == ["first", "first"]


def test_an_end_that_was_not_expected_fails_even_with_nobody_there() -> None:
    play = Play(**{**GOOD, "insert_card": [("checking", None), ("spent", "card-unreadable")]})
    result = play.stage.play("session", session)
    assert (result.verdict, result.reason) == ("failed", f"spent (card-unreadable) {NOBODY}")
    play.close()


def test_a_scenario_that_nobody_played_can_be_skipped_with_a_reason(good: Play) -> None:
    good.world.shows["insert-card"] = []
    good.type(b"s no card here\n")
    result = good.stage.play("session", session)
    assert (result.verdict, result.reason, result.steps) == ("skipped", "no card here", [])


def test_a_scenario_that_timed_out_is_played_again_at_r(good: Play) -> None:
    rows, tell = good.world.shows, good.lines.append

    def heard(line: str) -> None:
        tell(line)
        if line.startswith("Nothing came"):
            rows["first"] = GOOD["first"]
            good.type(b"r\n")

    good.stage._person._write = heard
    rows["first"] = []
    result = good.stage.play("session", session)
    assert (result.verdict, result.repeats, len(result.steps)) == ("passed", 1, 3)
    assert good.world.asked[2:4] == ["remove-card", "insert-card"], "the card out first"


def test_a_step_is_asked_for_again_at_r(good: Play) -> None:
    good.world.shows["insert-card"] = []
    good.type(b"r\n")
    result = good.stage.play("session", session)
    assert (result.verdict, result.reason) == ("skipped", NOBODY)
    assert good.world.asked == ["insert-card", "insert-card"]


def test_f_says_that_it_has_failed(good: Play) -> None:
    good.world.shows["insert-card"] = []
    good.type(b"f\n")
    result = good.stage.play("session", session)
    assert result.verdict == "failed"


def test_hands_that_cannot_skip_with_the_reason(good: Play) -> None:
    result = good.stage.play("reader", lambda stage: stage.do("unplug-reader", "spent"))
    assert (result.verdict, result.reason) == ("skipped", "no plug")
    assert "Not possible here: no plug." in good.lines


def test_a_frame_that_must_not_leave_fails_it(good: Play) -> None:
    good.world.leaks = True
    assert good.stage.play("session", session).verdict == "failed"


def test_what_the_box_does_not_show_is_confirmed_by_a_person(good: Play) -> None:
    good.stage._robot = None
    good.type(b"\n")
    assert good.stage.play("plug", lambda stage: stage.confirm("plug-sensor")).verdict == "passed"
    late = good.stage.play("plug", lambda stage: stage.confirm("plug-sensor"))
    assert (late.verdict, late.reason) == ("skipped", NOBODY)


def test_the_card_comes_out_before_the_next_scenario(good: Play) -> None:
    good.world.views.append(view("open"))
    assert good.stage.play("session", session).verdict == "passed"
    assert good.world.asked == ["remove-card", "insert-card", "first", "remove-card"]
