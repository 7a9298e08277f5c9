"""What a key does, and when it does nothing."""

import pytest

from sdbox_agent.console import scene
from sdbox_agent.console.keys import Key
from sdbox_agent.console.scene import Scene
from sdbox_agent.daemon import view
from sdbox_agent.ipc import Message
from tests.daemon.test_view import states

PROJECTS = (
    view.Project(project="p1", label="One"),
    view.Project(project="p2", label="Two", code="level-not-accepted"),
    *(view.Project(project=f"p{n}", label="More") for n in range(3, 13)),
)
CHOOSING = view.View(n=3, state="choosing", mono_ms=1, projects=PROJECTS)
CODE = view.View(n=3, state="codeentry", mono_ms=1, code="enter-code")
ALL_KEYS = (*Key, *"0123456789")


def typed(shown: view.View, *keys: Key | str) -> tuple[Scene, list[Message]]:
    now, said = scene.seen(Scene(), shown), []
    for key in keys:
        now, message = scene.pressed(now, key)
        said += [message] if message is not None else []
    return now, said


@pytest.mark.parametrize("state", states(), ids=lambda state: type(state).__name__)
def test_keys_count_only_where_the_box_asks(state) -> None:
    shown = view.view(state, 1.0)
    now, said = typed(shown, "1", Key.ENTER, *ALL_KEYS, Key.ENTER)
    if shown.state in scene.MAX_DIGITS:
        assert said
    else:
        assert (now, said) == (Scene(view=shown), [])


def test_with_no_box_no_key_counts() -> None:
    for key in ALL_KEYS:
        assert scene.pressed(Scene(), key) == (Scene(), None)


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ((Key.ENTER,), None),
        (("1", Key.ENTER), "p1"),
        (("1", "2", Key.ENTER), "p12"),
        (("0", "3", Key.ENTER), "p3"),
        (("1", "2", Key.ERASE, Key.ENTER), "p1"),
        (("1", Key.ERASE, Key.ENTER), None),
        (("0", Key.ENTER), None),
        (("9", "9", "9", "9", Key.ENTER), None),
        (("1", "3", Key.ENTER), None),
        ((Key.DOWN, Key.ENTER), "p1"),
        ((Key.UP, Key.ENTER), "p12"),
        ((Key.UP, Key.DOWN, Key.ENTER), "p12"),
        ((Key.DOWN, Key.UP, Key.DOWN, Key.DOWN, Key.ENTER), "p3"),
        (("5", Key.DOWN, Key.ENTER), "p6"),
        ((Key.DOWN, "3", Key.ENTER), "p3"),
    ],
)
def test_a_project_is_pointed_at_before_it_is_entered(
    keys: tuple[Key | str, ...], chosen: str | None
) -> None:
    _, said = typed(CHOOSING, *keys)
    assert said == ([view.ChooseProject(project=chosen)] if chosen else [])


def test_a_project_that_is_closed_says_why_and_is_not_asked_for() -> None:
    now, said = typed(CHOOSING, "2", Key.ENTER)
    assert (now.note, said) == ("level-not-accepted", [])
    now, _ = scene.pressed(now, Key.DOWN)
    assert now.note is None


def test_with_no_project_there_is_nothing_to_point_at() -> None:
    empty = view.View(n=3, state="choosing", mono_ms=1)
    assert typed(empty, Key.DOWN, Key.UP, "1", Key.ENTER)[1] == []


@pytest.mark.parametrize(
    ("keys", "code"),
    [("123456", "123456"), ("12345678", "12345678"), ("123456789", "12345678"), ("12345", None)],
)
def test_a_one_time_code_has_six_to_eight_digits(keys: str, code: str | None) -> None:
    now, said = typed(CODE, *keys, Key.UP, Key.ENTER)
    assert said == ([view.EnterCode(code=code)] if code else [])
    assert now.typed == ("" if code else keys)


def test_what_was_typed_stands_while_the_question_is_the_same() -> None:
    now, _ = typed(CHOOSING, "3")
    linked = view.View(
        n=3, state="choosing", mono_ms=9, projects=PROJECTS,
        link=view.LinkView(up=True, since_ms=1),
    )  # fmt: skip
    assert scene.seen(now, linked).row == 2
    for other in (
        view.View(n=4, state="choosing", mono_ms=9, projects=PROJECTS),
        view.View(n=3, state="choosing", mono_ms=9, projects=PROJECTS[1:]),
        view.View(n=3, state="signing", mono_ms=9),
    ):
        assert scene.seen(now, other) == Scene(view=other)


def test_an_answer_is_a_note_of_the_question_and_of_nothing_else() -> None:
    refused = view.NotTaken(code="project-not-granted")
    assert scene.answered(typed(CHOOSING, "1")[0], refused).note == "project-not-granted"
    assert scene.answered(typed(CHOOSING, "1")[0], view.Taken()).note is None
    signing = scene.seen(Scene(), view.View(n=3, state="signing", mono_ms=1))
    assert scene.answered(signing, view.NotTaken(code="not-allowed")).note is None


def test_a_box_that_is_gone_is_late_only_after_a_while() -> None:
    now = scene.lost(typed(CHOOSING, "1")[0], "agent-unreachable", 1000.0)
    assert now == Scene(lost_ms=1000.0)
    assert not scene.lost(now, "agent-unreachable", 1000.0 + scene.PATIENCE_MS - 1).late
    assert scene.lost(now, "agent-unreachable", 1000.0 + scene.PATIENCE_MS).late
