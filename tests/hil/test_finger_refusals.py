"""Fingers that must not open, on the real rig: what each costs on box and centre, and how long.

Hours of waiting are not waited: the centre's count is set by hand where a test says so.
"""

import os
import signal

import numpy as np
import pytest

from hil.finger.impression import impression
from hil.issuing import Holder
from sdbox_agent import errors
from sdbox_centre import access
from tests.hil.refusals import HERE, SOMEBODY_ELSE, Bench, name_of

pytestmark = pytest.mark.rig

COMPARISONS = 3  # of one session, by the centre's policy


def prepare(rig, people) -> dict[str, Holder]:
    names = (
        "tries", "delayed", "nearly locked", "second finger", "poor", "replayed", "good",
        "second touch", "pulled", "told", "given up", "killed",
    )  # fmt: skip
    return {name: people.holder() for name in names}


def set_failures(bench: Bench, holder: Holder, failures: int) -> None:
    """In place of as many wrong fingers, and the waiting between them."""
    with bench.database() as database:
        database.execute(
            "update cards set failures = ? where auth_sha256 = ?", (failures, name_of(holder))
        )


def test_three_wrong_fingers_end_the_session_and_stay_counted(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["tries"]
    assert bench.to_finger(holder).state == "scanning"
    for failures in range(1, COMPARISONS):
        after = bench.touch(SOMEBODY_ELSE)
        assert after.state == "scanning"
        assert after.attempts_left == COMPARISONS - failures, "the least of session and card"
        bench.recorded("no-match", after.n, failures)
        assert after.code == ("no-match" if failures == 1 else "other-finger-better")
    bench.touch(SOMEBODY_ELSE)
    spent = bench.refused("attempts-exhausted", "comparing")
    bench.recorded("no-match", spent.n, COMPARISONS)
    bench.recorded("attempt-reserved", spent.n, COMPARISONS)
    assert bench.centre_row(holder)[0] == COMPARISONS
    counted = bench.box_row(holder)
    assert counted is not None
    assert counted.left == access.LOCKED_FAILURES - COMPARISONS
    bench.nothing_begins(for_s=1.0)
    bench.clear()
    # The right finger is still right, and what it opens gives the attempts back on both sides.
    opened = bench.enter(holder)
    assert (opened.state, opened.attempts_left) == ("open", COMPARISONS - 1)
    bench.leave()
    assert bench.centre_row(holder) == (0, 0)
    assert bench.box_row(holder) is None


def test_after_the_fifth_wrong_finger_one_must_wait(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["delayed"]
    set_failures(bench, holder, access.FREE_FAILURES - 1)
    assert bench.to_finger(holder).state == "scanning"
    assert bench.touch(SOMEBODY_ELSE).code == "no-match"
    before = bench.centre_row(holder), bench.box_row(holder)
    assert before[0][0] == access.FREE_FAILURES
    bench.rig.operator.place(HERE)  # even the right one
    bench.refused("too-soon", "reserving")
    assert (bench.centre_row(holder), bench.box_row(holder)) == before
    bench.clear()
    bench.turn().insert(holder.card)
    bench.refused("too-soon", "proving")  # told by the centre before a finger is asked for


def test_the_tenth_wrong_finger_locks_the_card(bench: Bench, people: dict[str, Holder]) -> None:
    holder = people["nearly locked"]
    set_failures(bench, holder, access.LOCKED_FAILURES - 1)
    assert bench.to_finger(holder).state == "scanning"
    bench.touch(SOMEBODY_ELSE)
    bench.refused("card-locked", "comparing")
    assert bench.centre_row(holder)[0] == access.LOCKED_FAILURES
    bench.clear()
    bench.turn().insert(holder.card)
    bench.refused("card-locked", "proving")


def test_the_second_finger_of_the_reference_opens(bench: Bench, people: dict[str, Holder]) -> None:
    assert bench.to_finger(people["second finger"]).state == "scanning"
    bench.touch(HERE, HERE.positions[1])
    assert bench.watch.state("open", "spent").state == "open"
    bench.leave()


def test_a_touch_too_poor_to_compare_costs_no_attempt(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["poor"]
    assert bench.to_finger(holder).state == "scanning"
    bench.rig.operator.lay(np.full((200, 200), 230, np.uint8))  # nothing but glass
    hint = bench.watch.until(
        lambda one: one.state != "scanning" or one.code != "place-finger", "a hint"
    )
    assert (hint.state, hint.code) == ("scanning", "finger-poor")
    assert bench.centre_row(holder) == (0, 0)
    assert bench.box_row(holder) is None
    bench.touch(HERE)
    assert bench.watch.state("open", "spent").state == "open"
    bench.leave()


def test_the_same_picture_twice_is_no_finger(bench: Bench, people: dict[str, Holder]) -> None:
    assert bench.to_finger(people["replayed"]).state == "scanning"
    pixels = SOMEBODY_ELSE.touch(SOMEBODY_ELSE.positions[0], 77, "good").pixels
    bench.rig.operator.lay(pixels)
    bench.watch.until(lambda one: one.state == "comparing" and one.waits, "another touch")
    bench.rig.operator.lay(pixels)
    spent = bench.refused("replayed-sample", "comparing")
    bench.recorded("attempt-reserved", spent.n)


def test_an_attempt_whose_second_touch_matches_costs_one(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["second touch"]
    assert bench.to_finger(holder).state == "scanning"
    bench.rig.operator.place(SOMEBODY_ELSE)
    asked = bench.watch.until(lambda one: one.waits and one.state == "comparing", "another touch")
    assert (asked.code, asked.attempts_left) == ("lift-and-place", COMPARISONS - 1)
    bench.rig.operator.place(HERE, HERE.positions[1])
    opened = bench.watch.state("open", "spent")
    assert (opened.state, opened.attempts_left) == ("open", COMPARISONS - 1)
    bench.recorded("attempt-reserved", opened.n)
    bench.recorded("finger-matched", opened.n)
    bench.recorded("no-match", opened.n, 0)
    bench.leave()
    with bench.database() as database:
        ((bands,),) = database.execute(
            "select bands from ageing where enrolment = ?", (f"enrolment-{holder.name}",)
        )
    assert bands in {"strong", "fair", "weak"}, "one match, one word of it"


def test_a_card_pulled_within_an_attempt_ends_it_with_the_attempt_spent(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["pulled"]
    assert bench.to_finger(holder).state == "scanning"
    bench.rig.operator.place(SOMEBODY_ELSE)
    bench.watch.until(lambda one: one.waits and one.state == "comparing", "another touch")
    bench.rig.operator.remove()
    bench.refused("card-removed", "comparing")
    assert bench.centre_row(holder)[0] == 1


def between_touches(bench: Bench, holder: Holder) -> None:
    """An attempt has been spent on one wrong finger, and the next touch is asked for."""
    assert bench.to_finger(holder).state == "scanning"
    bench.rig.operator.place(SOMEBODY_ELSE)
    bench.watch.until(lambda one: one.waits and one.state == "comparing", "another touch")


def test_giving_up_within_an_attempt_leaves_it_spent(
    bench: Bench, people: dict[str, Holder]
) -> None:
    holder = people["given up"]
    between_touches(bench, holder)
    bench.cancel()
    spent = bench.refused("cancelled", "comparing")
    bench.recorded("attempt-reserved", spent.n)
    assert bench.centre_row(holder)[0] == 1
    counted = bench.box_row(holder)
    assert counted is not None
    assert counted.left == access.LOCKED_FAILURES - 1


def test_a_finger_process_killed_within_an_attempt_leaves_it_spent(
    bench: Bench, people: dict[str, Holder]
) -> None:
    """Whoever could kill it for nothing would have as many attempts as he likes."""
    holder = people["killed"]
    between_touches(bench, holder)
    os.kill(bench.rig.box.pid("sdbox-finger@"), signal.SIGKILL)
    spent = bench.refused("finger-worker-died", "comparing")
    bench.recorded("attempt-reserved", spent.n)
    assert bench.centre_row(holder)[0] == 1
    bench.clear()
    opened = bench.enter(holder)
    assert (opened.state, opened.attempts_left) == ("open", COMPARISONS - 1)
    bench.leave()
    assert bench.centre_row(holder) == (0, 0)


@pytest.mark.parametrize(
    ("how", "state", "code"),
    [
        ({"quality": "wet", "pressure": 1.1}, "scanning", "finger-wet"),
        ({"quality": "tiny"}, "scanning", "press-harder"),
        ({"quality": "dry", "pressure": -0.7}, "comparing", "finger-dry"),
    ],
)
def test_a_touch_that_fails_is_told_why_in_words_that_stay(
    bench: Bench, people: dict[str, Holder], how: dict, state: str, code: str
) -> None:
    """Dry skin matches as well as any: somebody else's has to show what is said of it."""
    person = SOMEBODY_ELSE if state == "comparing" else HERE
    assert bench.to_finger(people["told"]).state == "scanning"
    bench.rig.operator.lay(impression(person.finger(person.positions[0]), 5, **how).pixels)
    told = bench.watch.until(lambda one: one.code == code and one.waits, f"{code}, and waiting")
    assert told.state == state
    for language in errors.LANGUAGES:
        assert errors.explain(code).sentence[language]
    bench.rig.operator.place(HERE)
    assert bench.watch.state("open", "spent").state == "open"
    bench.leave()


def test_giving_up_ends_the_session(bench: Bench, people: dict[str, Holder]) -> None:
    assert bench.to_finger(people["good"]).state == "scanning"
    bench.cancel()
    bench.refused("cancelled", "scanning")
    bench.clear()
    assert bench.enter(people["good"]).state == "open"
    assert bench.leave().code == "card-removed"
