"""The machine, whole: every reachable state, its table, its picture, its planted faults."""

import pytest

from sdbox_agent.session import states as at
from tests.session.explore import Exploration, dead_ends, explore
from tests.session.golden import README, TABLE, picture, replace_picture, table


@pytest.fixture(scope="module")
def found() -> Exploration:
    return explore()


def test_no_promise_is_broken_anywhere(found: Exploration) -> None:
    assert found.broken == []


def test_every_state_is_reached(found: Exploration) -> None:
    reached = {type(state) for state in found.states}
    assert reached == {at.Idle, *at.Live.__args__, at.Closing, at.Spent, at.Broken}


def test_from_every_state_some_idle_is_reachable(found: Exploration) -> None:
    assert dead_ends(found) == set()


def test_the_table_is_the_committed_one(found: Exploration) -> None:
    assert table(found) == TABLE.read_text(), "run `make diagram` and read the difference"


def test_the_picture_in_the_readme_is_current(found: Exploration) -> None:
    text = README.read_text()
    assert replace_picture(text, picture(found)) == text, "run `make diagram`"
