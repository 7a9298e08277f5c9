"""What speaks to the core: what a person reads, what a program reads, and nobody there."""

import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from sdbox_agent import boxcommand, cli, errors, ipc, screen
from sdbox_agent.daemon import view
from sdbox_agent.paths import Paths
from tests.boxed import OPEN, Box
from tests.daemon.test_view import states
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]
COMMANDS = (("status",), ("watch",), ("choose", "p1"), ("code", "123456"), ("cancel",))


@pytest.mark.parametrize("words", COMMANDS)
def test_with_no_agent_running_each_says_so(run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (cli.FAILED, "")
    assert err.strip() == errors.render("agent-unreachable", "en")
    code, out, _ = run(*words, "--json")
    assert (code, json.loads(out)) == (cli.FAILED, {"error": "agent-unreachable"})


def test_a_socket_left_by_a_dead_agent_is_nobody(run, tmp_path: Path) -> None:
    path = Paths(tmp_path).agent_socket
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(str(path))
    assert "agent-unreachable" in run("status")[2]


def test_an_agent_that_hangs_is_not_waited_for(
    run, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxcommand, "ANSWER_S", 0.1)
    let_go = threading.Event()
    box.serve = lambda _: let_go.wait(2 * PATIENCE_S)
    started = time.monotonic()
    code, _, err = run("status")
    assert time.monotonic() - started < PATIENCE_S
    let_go.set()
    assert code == cli.FAILED
    assert "agent-unreachable" in err


@pytest.mark.parametrize("words", COMMANDS)
def test_a_foreign_user_is_told_that_he_may_not(run, box: Box, words: tuple[str, ...]) -> None:
    """Whether or not what he said was read before he was turned away."""
    box.serve = lambda client: client.send(view.NotTaken(code="not-allowed"))
    for _ in range(5):
        code, out, err = run(*words)
        assert (code, out) == (cli.FAILED, "")
        assert "not-allowed" in err


def test_status_says_the_state_in_words_with_its_details(run, box: Box) -> None:
    box.answers(OPEN)
    code, out, _ = run("status")
    assert code == 0
    assert screen.words("state", "open", "en") in out
    for detail in ("level: host-match", "project: p1", "attempts left: 2", "4.5"):
        assert detail in out
    assert "handshake" not in out, "what is not known is not shown"


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (view.LinkView(up=True, since_ms=0), r"link to the centre: up \d+ s$"),
        (
            view.LinkView(up=False, since_ms=0, code="centre-slow"),
            r"link to the centre: down \d+ s \(centre-slow\)$",
        ),
    ],
)
def test_the_link_to_the_centre_is_said(run, box: Box, link: view.LinkView, said: str) -> None:
    box.answers(view.View(n=3, state="idle", mono_ms=1, link=link))
    assert re.search(said, run("status")[1].strip())


def test_what_the_centre_has_to_say_is_said_in_words(run, box: Box) -> None:
    box.answers(view.View(n=3, state="scanning", mono_ms=1, notices=("re-enrol-soon",)))
    assert errors.render("re-enrol-soon", "en") in run("status")[1]


def test_what_is_so_of_the_box_is_said_by_status_alone(run, box: Box) -> None:
    box.answers(view.View(n=3, state="idle", mono_ms=1, standing=("identity-copyable",)))
    assert errors.render("identity-copyable", "en") in run("status")[1]
    box.answers(view.View(n=3, state="idle", mono_ms=1, standing=("identity-copyable",)))
    said = json.loads(run("status", "--json")[1])
    assert said["standing"] == ["identity-copyable"]


def test_every_state_reads_as_sentences_in_both_languages(
    run, box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [view.view(state, 1.0) for state in states()]
    for language in errors.LANGUAGES:
        box.answers(*shown)
        cli.main(["--root", str(tmp_path), "--language", language, "watch"])
        lines = capsys.readouterr().out
        for one in shown:
            assert screen.words("state", one.state, language) in lines
        assert errors.render("place-finger", language) in lines
        assert "None" not in lines


def test_watch_prints_each_change_and_ends_when_the_agent_does(run, box: Box) -> None:
    spent = view.View(n=3, state="spent", mono_ms=2, code="card-revoked")
    box.answers(OPEN, spent)
    code, out, err = run("watch")
    assert out.index("[3] You are connected") < out.index("[3] Over")
    assert errors.render("card-revoked", "en") in out
    assert (code, err.strip()) == (cli.FAILED, errors.render("agent-unreachable", "en"))


def test_as_json_the_views_are_raw(run, box: Box) -> None:
    box.answers(OPEN)
    _, out, _ = run("watch", "--json")
    assert msgspec.json.decode(out.splitlines()[0], type=view.View) == OPEN


def test_projects_that_can_t_be_entered_say_why(run, box: Box) -> None:
    projects = (
        view.Project(project="p1", label="One"),
        view.Project(project="p2", label="Two", code="level-not-accepted"),
        view.Project(project="p3", label="Three", code="never-heard-of"),
    )
    box.answers(view.View(n=1, state="choosing", mono_ms=1, projects=projects))
    _, out, _ = run("status")
    first, second, third = out.splitlines()[1:]
    assert first == "    p1  One"
    assert second.endswith(errors.explain("level-not-accepted").sentence["en"])
    assert "never-heard-of" not in third


def test_a_choice_is_sent_and_a_wrong_project_s_code_comes_back(run, box: Box) -> None:
    box.answers(view.Taken())
    assert run("choose", "p1") == (0, "", "")
    assert box.heard == [view.ChooseProject(project="p1")]
    box.answers(view.NotTaken(code="project-not-granted"))
    code, _, err = run("choose", "p9")
    assert code == cli.FAILED
    assert err.strip() == errors.render("project-not-granted", "en")
    assert json.loads(run("choose", "p9", "--json")[1]) == {"error": "project-not-granted"}
    box.answers(view.Taken())
    assert json.loads(run("cancel", "--json")[1])["t"] == "taken"


def test_a_one_time_code_may_be_typed(run, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.answers(view.Taken())
    monkeypatch.setattr(sys, "stdin", io.StringIO("123456\n"))
    assert run("code") == (0, "", "")
    assert box.heard == [view.EnterCode(code="123456")]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit, match=str(cli.USAGE)):
        run("code")


def test_a_one_time_code_is_handed_on_or_told_to_be_untimely(run, box: Box) -> None:
    box.answers(view.Taken())
    assert run("code", "012345") == (0, "", "")
    assert box.heard == [view.EnterCode(code="012345")]
    box.answers(view.NotTaken(code="not-allowed"))
    code, _, err = run("code", "012345")
    assert (code, err.strip()) == (cli.FAILED, errors.render("not-allowed", "en"))


@pytest.mark.parametrize("frame", [b"nonsense", b'{"t":"watch","v":1}', b'{"t":"taken","v":1}'])
def test_an_agent_that_talks_nonsense_is_a_bug(run, box: Box, frame: bytes) -> None:
    def serve(client: ipc.Channel) -> None:
        client.receive()
        client.sock.send(frame)

    box.serve = serve
    code, _, err = run("status")
    assert code == cli.FAILED
    assert "worker-protocol" in err


def test_a_root_that_is_a_file_holds_no_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--root", __file__, "status"]) == cli.FAILED
    assert "agent-unreachable" in capsys.readouterr().err


def test_watch_into_a_closed_pipe_ends_quietly(box: Box, tmp_path: Path) -> None:
    box.answers(*[OPEN] * 200)
    command = [sys.executable, "-m", "sdbox_agent", "--root", str(tmp_path), "watch"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) == 0
