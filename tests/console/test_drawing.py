"""Drawn on terminals of every size: what matters is there, and no byte of data is a command."""

from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent import errors
from sdbox_agent.console import drawing, page, scene
from sdbox_agent.console.drawing import Terminal
from sdbox_agent.console.plain import plain
from sdbox_agent.console.scene import Scene
from sdbox_agent.daemon import view
from tests.console.reading import Glass
from tests.console.test_page import CODES
from tests.daemon.test_view import states

SIZES: Final = ((40, 10), (80, 24), (132, 43), (240, 67))
NASTY: Final = "\x1b[2J\x1b]0;x\x07\x9b1;1H\r\n\x00\u202e\U0001f4a9 é"


def shown_on(now: Scene, terminal: Terminal, language: str = "fr") -> Glass:
    drawn = drawing.lines(page.page(now, language), terminal)
    glass = Glass(terminal.columns, terminal.rows)
    glass.write(drawing.encode(drawn, terminal).decode("utf-8" if terminal.unicode else "ascii"))
    return glass


def read(text: str) -> str:
    return " ".join(plain(text).split())


@pytest.mark.parametrize("language", errors.LANGUAGES)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_every_state_and_every_code_can_be_read_whole(
    columns: int, rows: int, language: str
) -> None:
    """In the box's own language on the smallest terminal, and from 80 by 24 on in both."""
    terminal = Terminal(columns, rows, commands=True, unicode=True)
    languages = [language] if columns < 80 else list(errors.LANGUAGES)
    shown = [view.view(state, 1.0) for state in states()]
    codes = CODES if columns <= 80 else ["card-revoked"]  # a larger one has more room for each
    shown += [view.View(n=1, state="spent", mono_ms=1, code=code) for code in codes]
    for one in shown:
        text = shown_on(scene.seen(Scene(), one), terminal, language).text
        for paragraph in page.page(Scene(view=one), language).above[: 1 if columns < 80 else None]:
            assert read(paragraph.text) in text, (one.state, one.code)
        if one.state == "spent" and one.code:
            assert one.code in text.replace(" ", "")
            for each in languages:
                row = errors.explain(one.code)
                assert read(row.sentence[each]) in text
                assert read(row.remedy[each]) in text


@pytest.mark.parametrize(("columns", "rows"), SIZES[1:])
def test_there_are_large_words_wherever_there_is_room(columns: int, rows: int) -> None:
    terminal = Terminal(columns, rows, commands=True, unicode=True)
    for state in states():
        assert "█" in shown_on(scene.seen(Scene(), view.view(state, 1.0)), terminal).text, state


def test_link_and_tunnel_stand_at_the_foot_of_the_smallest_terminal_too() -> None:
    for columns, rows in SIZES:
        now = scene.seen(Scene(), view.View(state="idle", mono_ms=1))
        lines = shown_on(now, Terminal(columns, rows, commands=True, unicode=True)).lines
        assert lines[-1] == "tunnel: fermé / closed"


def test_a_terminal_without_unicode_gets_ascii_and_a_dumb_one_no_command() -> None:
    for state in states():
        now = scene.seen(Scene(), view.view(state, 1.0))
        for columns, rows in SIZES:
            shown_on(now, Terminal(columns, rows, commands=True, unicode=False))
            dumb = Terminal(columns, rows, commands=False, unicode=False)
            data = drawing.encode(drawing.lines(page.page(now, "fr"), dumb), dumb)
            assert data.isascii()
            lines = data.decode().split("\r\n")
            assert all(line.isprintable() and len(line) <= columns for line in lines)
            assert len(lines) <= rows + 2


TEXT = st.text(max_size=30) | st.just(NASTY)
PROJECTS = st.lists(
    st.builds(
        view.Project, project=TEXT, label=TEXT, code=st.sampled_from([None, "project-closed"])
    ),
    max_size=12,
).map(tuple)
VIEWS = st.builds(
    view.View,
    state=st.sampled_from([type(state).__name__.lower() for state in states()]) | TEXT,
    mono_ms=st.just(1.0),
    code=st.sampled_from([None, "made-up", *CODES]),
    project=st.none() | TEXT,
    issuer=st.none() | TEXT,
    projects=PROJECTS,
    notices=st.lists(st.sampled_from([*CODES, "made-up"]), max_size=5).map(tuple),
    pin_left=st.none() | st.integers(),
)
SCENES = st.builds(
    Scene,
    view=st.none() | VIEWS,
    typed=st.text("0123456789", max_size=8),
    row=st.none() | st.integers(0, 127),
    note=st.sampled_from([None, "project-closed", "made-up"]),
)
TERMINALS = st.builds(
    Terminal, st.integers(1, 130), st.integers(1, 40), st.booleans(), st.booleans()
)


@given(SCENES, TERMINALS, st.sampled_from(errors.LANGUAGES))
@example(
    Scene(view.View(state=NASTY, mono_ms=1, issuer=NASTY, project=NASTY)),
    Terminal(80, 24, commands=True, unicode=True),
    "fr",
)
def test_no_data_is_ever_a_command_and_nothing_leaves_the_screen(
    now: Scene, terminal: Terminal, language: str
) -> None:
    """`Glass` fails at any command that is not one of the console's own, and at its edges."""
    if terminal.commands:
        shown_on(now, terminal, language)
        return
    drawn = drawing.lines(page.page(now, language), terminal)
    assert all(len(line.text) <= terminal.columns for line in drawn)
    data = drawing.encode(drawn, terminal)
    assert all(line.isprintable() for line in data.decode().split("\r\n"))


def choosing(count: int) -> view.View:
    projects = tuple(
        view.Project(project=f"p{n}", label=f"Project {n}") for n in range(1, count + 1)
    )
    return view.View(n=1, state="choosing", mono_ms=1, projects=projects)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize("count", [1, 3, 7, 128])
def test_every_project_can_be_seen_and_the_one_pointed_at_is_marked(
    columns: int, rows: int, count: int
) -> None:
    terminal = Terminal(columns, rows, commands=True, unicode=True)
    for row in {0, 1, count // 2, count - 1} & set(range(count)):
        glass = shown_on(Scene(view=choosing(count), row=row), terminal)
        (marked,) = glass.marked
        assert marked.startswith(f"> {row + 1:>2}  Project {row + 1} (p{row + 1})")
        assert any("Entrée." in line for line in glass.lines)


def test_a_list_that_is_cut_says_so() -> None:
    small = Terminal(40, 10, commands=True, unicode=True)
    assert "/ 128" in shown_on(scene.seen(Scene(), choosing(128)), small).text
    large = Terminal(200, 60, commands=True, unicode=True)
    assert "/ 12" not in shown_on(scene.seen(Scene(), choosing(12)), large).text


def test_on_a_terminal_too_small_for_anything_the_sentence_begins() -> None:
    tiny = Terminal(12, 2, commands=True, unicode=True)
    text = shown_on(scene.seen(Scene(), choosing(128)), tiny).text
    assert text == "Doigt reconnu. Choisissez"[: len(text)]


@pytest.mark.parametrize(
    ("kind", "capable"),
    [("linux", True), ("xterm-256color", True), ("vt220", True), ("screen", True),
     ("dumb", False), ("", False), ("linux\n", False), ("vt52", False), ("adm3a", False)],
)  # fmt: skip
def test_only_terminals_that_are_known_get_commands(kind: str, *, capable: bool) -> None:
    assert (drawing.CAPABLE.fullmatch(kind) is not None) is capable
