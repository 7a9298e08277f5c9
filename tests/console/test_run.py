"""The console before a real local socket, on a real pseudo-terminal."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from sdbox_agent import cli, errors, screen
from sdbox_agent.centre import wire
from sdbox_agent.console import run, scene, tty
from sdbox_agent.console.drawing import Terminal
from sdbox_agent.console.run import Console
from sdbox_agent.daemon import view
from sdbox_agent.daemon.local import LocalSocket
from sdbox_agent.paths import Paths
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from tests.boxed import Box
from tests.console.terminals import TERM, Desk, desk
from tests.daemon.test_view import SESSION, access, states
from tests.session.explore import TWO, admitted
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
CHOOSING = at.Choosing(SESSION, access(), 1)


def said(kind: str, name: str) -> str:
    return screen.words(kind, name, "en").replace("’", "'")  # noqa: RUF001  as it is shown


class Core:
    """The core's own local socket, in a loop of its own."""

    def __init__(self, path: Path, uids: frozenset[int]) -> None:
        self.fed: list[on.Event] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.local: LocalSocket = self._do(
            lambda: LocalSocket(self.loop, path, uids, self.fed.append)
        )

    def _do(self, what):
        done: Future = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(what()))
        return done.result(PATIENCE_S)

    def show(self, state: at.State) -> None:
        self._do(lambda: self.local.show(state, 1.0))

    def link(self, link: view.LinkView) -> None:
        self._do(lambda: self.local.show_link(link))

    def end(self) -> None:
        self._do(self.local.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


@contextlib.contextmanager
def core(root: Path, uids: frozenset[int] = frozenset({os.getuid()})) -> Iterator[Core]:
    one = Core(Paths(root).agent_socket, uids)
    try:
        yield one
    finally:
        one.end()


@contextlib.contextmanager
def console(one: Desk, root: Path, environment: dict[str, str] = TERM) -> Iterator[None]:
    """It ends with its terminal."""
    ended: list[BaseException] = []

    def play() -> None:
        try:
            with tty.opened(one.slave, environment) as terminal:
                Console(terminal, Paths(root).agent_socket, "en").run()
        except BaseException as error:  # noqa: BLE001  judged below
            ended.append(error)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        os.close(one.master)
        one.master = -1
        thread.join(PATIENCE_S)
        assert [type(error) for error in ended] == [tty.Ended], ended


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds on a box takes tenths here."""
    for name, value in (
        ("TURN_S", 0.02), ("RETRY_S", 0.05), ("SILENT_S", 0.1), ("ANSWER_S", 0.3), ("AGAIN_S", 0.2),
    ):  # fmt: skip
        monkeypatch.setattr(run, name, value)


def test_every_state_stands_on_the_terminal_and_the_link_too(tmp_path: Path) -> None:
    with core(tmp_path) as box, desk(100, 40) as one, console(one, tmp_path):
        for state in states():
            shown = view.view(state, 1.0)
            box.show(state)
            words = errors.explain(shown.code).sentence["en"] if shown.code in errors.table() else (
                screen.words("state", shown.state, "en") if not shown.code
                else errors.explain("unknown-code").sentence["en"]
            )  # fmt: skip
            one.sees(words.replace("’", "'").replace("…", "..."))  # noqa: RUF001  as shown
        box.link(view.LinkView(up=False, since_ms=1, code="centre-slow"))
        one.sees("out of reach / injoignable [centre-slow]")


def test_a_project_is_chosen_by_keyboard_and_what_was_typed_before_is_no_choice(
    tmp_path: Path,
) -> None:
    with core(tmp_path) as box, desk() as one, console(one, tmp_path):
        one.sees(said("state", "idle"))
        one.type(b"1\r2\r\x1b[B\r")
        box.show(CHOOSING)
        one.sees(said("console", "type-project"))
        one.type(b"\r")  # nothing is pointed at
        one.type(b"2")
        one.sees("> 2_")
        assert box.fed == []
        one.type(b"\x1b")
        one.sees("> 2_")
        one.type(b"\r")
        until(lambda: box.fed)
        assert box.fed == [on.ProjectChosen("p2")]
        box.show(at.Signing(SESSION, access(), 1, "p2"))
        one.sees("project / projet: p2")
        one.type(b"1\r")
        box.show(at.Open(SESSION, access(), "p2", 3.0, 2.0))
        one.sees("open / ouvert (udp)")
        assert box.fed == [on.ProjectChosen("p2")]


def test_a_choice_that_is_not_taken_says_why(tmp_path: Path) -> None:
    grants = (*TWO, wire.Grant(project="p9", label="Nine", code="project-closed"))
    with core(tmp_path) as box, desk() as one, console(one, tmp_path):
        box.show(at.Choosing(SESSION, access(answer=admitted(grants)), 1))
        one.sees("Nine")
        one.type(b"3\r")
        one.sees(errors.explain("project-closed").sentence["en"])
        one.type(b"\x7f")
        one.sees(said("state", "choosing"))
        assert box.fed == []


def test_a_one_time_code_is_typed_there_too(tmp_path: Path) -> None:
    with core(tmp_path) as box, desk() as one, console(one, tmp_path):
        box.show(at.CodeEntry(SESSION, access(), "enter-code"))
        one.sees(said("console", "type-code"))
        one.type(b"123456\r")
        until(lambda: box.fed)
        assert box.fed == [on.CodeEntered("123456")]


def test_an_agent_that_is_not_there_is_said_to_be_starting_then_absent_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk() as one, console(one, tmp_path):
        one.sees(said("console", "starting"))
        with core(tmp_path) as box:
            one.sees(said("state", "idle"))
            box.show(at.Open(SESSION, access(), "p2", 3.0, 2.0))
            one.sees(said("state", "open"))
        one.sees(said("console", "starting"))
        assert said("state", "open") not in one.glass.text
        one.sees("tunnel: not known")
        monkeypatch.setattr(scene, "PATIENCE_MS", 10.0)
        one.sees("agent-unreachable")
        with core(tmp_path):
            one.sees(said("state", "idle"))


def test_an_agent_that_hangs_is_lost_and_one_that_is_merely_quiet_is_not(
    tmp_path: Path, box: Box
) -> None:
    hang, heard = threading.Event(), []

    def serve(client) -> None:
        client.receive()
        client.send(view.View(n=1, state="open", mono_ms=1, project="p1"))
        while not hang.is_set():
            heard.append(client.receive())
            client.send(view.View(n=1, state="open", mono_ms=1, project="p1"))
        hang.wait(PATIENCE_S)
        until(lambda: one.glass.text.count(said("console", "starting")))

    box.serve = serve
    with desk() as one, console(one, tmp_path):
        one.sees(said("state", "open"))
        until(lambda: len(heard) >= 3)
        assert all(isinstance(message, view.AskStatus) for message in heard)
        hang.set()
        one.sees(said("console", "starting"))


def test_who_may_not_watch_is_told_and_asks_again(tmp_path: Path) -> None:
    with desk() as one, console(one, tmp_path):
        with core(tmp_path, frozenset()):
            one.sees("not-allowed")
        with core(tmp_path):
            one.sees(said("state", "idle"))


def test_an_agent_that_talks_nonsense_is_a_bug(tmp_path: Path, box: Box) -> None:
    def serve(client) -> None:
        client.receive()
        client.sock.send(b"\x1b[2J")

    box.serve = serve
    with desk() as one, console(one, tmp_path):
        one.sees("worker-protocol")


def test_a_terminal_that_is_resized_or_written_over_is_drawn_anew(tmp_path: Path) -> None:
    with core(tmp_path), desk(40, 10) as one, console(one, tmp_path):
        one.sees(said("state", "idle"))
        one.resize(80, 24)
        one.until(lambda _: one.glass.lines[-1].startswith("tunnel:"))
        one.glass.cells = [["x"] * 80 for _ in range(24)]  # as a kernel's message would
        one.sees(said("state", "idle"))


def test_a_dumb_terminal_is_told_each_change_once(tmp_path: Path) -> None:
    with core(tmp_path) as box, desk() as one, console(one, tmp_path, {"TERM": "dumb"}):
        for state in (at.Checking(SESSION), at.Proving(SESSION, access().card)):
            box.show(state)
            words = screen.words("state", type(state).__name__.lower(), "en").replace("…", "...")
            until(lambda: one.look() or words.encode() in one.raw)  # noqa: B023  used at once
        one.look(0.5)
        assert one.raw.count(words.encode()) == 1
        assert b"\x1b" not in one.raw


def test_the_box_s_word_that_a_choice_came_too_late_is_shown(tmp_path: Path, box: Box) -> None:
    def serve(client) -> None:
        client.receive()
        client.send(view.view(CHOOSING, 1.0))
        while not isinstance(client.receive(), view.ChooseProject):
            client.send(view.view(CHOOSING, 1.0))
        client.send(view.NotTaken(code="project-suspended"))
        client.receive()

    box.serve = serve
    with desk() as one, console(one, tmp_path):
        one.sees(said("state", "choosing"))
        one.type(b"1\r")
        one.sees("project-suspended")


def test_the_command_leaves_in_order_and_gives_the_terminal_back(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdbox_agent", "--root", str(tmp_path), "--language", "en"]
    with core(tmp_path), desk() as one:
        with subprocess.Popen(
            [*command, "watch", "--console"], cwd=ROOT, stdin=one.slave,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **TERM},
        ) as process:  # fmt: skip
            assert process.stderr
            one.sees(said("state", "idle"))
            process.send_signal(signal.SIGTERM)
            assert process.stderr.read() == b""
            assert process.wait(PATIENCE_S) == 0
        one.look(5)
        assert one.raw.endswith(b"\x1b[?25h")


def test_without_a_terminal_the_command_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "nothing").open("w+") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert cli.main(["--root", str(tmp_path), "watch", "--console"]) == cli.FAILED
    assert "no terminal" in capsys.readouterr().err


def test_a_word_of_the_box_in_the_middle_of_a_key_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of Page Up, ESC [ 5 ~, no 5 is left: it would point at a project."""
    project = view.Project(n=1, project="p", label="P")
    shown = view.View(n=1, state="choosing", mono_ms=1, projects=(project,) * 9)

    class Keyboard:
        terminal = Terminal(80, 24, commands=True, unicode=True)
        pieces = [b"\x1b[", b"5~", b"\x1b[", b"5"]  # noqa: RUF012

        def keys(self) -> bytes:
            return self.pieces.pop(0)

        def show(self, *_: object) -> None:
            pass

        forget = show

    class Talking:
        def receive(self) -> view.View:
            return shown

    keyboard, box = Keyboard(), Talking()
    one = Console(keyboard, Path("/nowhere"), "en")
    one._box, one._heard_s = box, time.monotonic()
    turns = [[box], [keyboard], [box], [keyboard]]
    monkeypatch.setattr(run.select, "select", lambda *_: (turns.pop(0), [], []))
    while turns:
        one._turn()
    assert (one._scene.typed, one._scene.row) == ("", None)
    turns = [[keyboard], [], [keyboard]]  # Escape by itself, and later a 5
    while turns:
        one._turn()
    assert (one._scene.typed, one._scene.row) == ("5", 4)
