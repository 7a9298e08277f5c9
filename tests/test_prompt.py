"""From the keys to the socket: what is read, what is sent, and that nothing of it stays."""

import contextlib
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import cli, ipc, prompt
from sdbox_agent.card import pinframe
from sdbox_agent.card.pindoor import Given, PinChannel
from sdbox_agent.card.pinframe import Status
from sdbox_agent.daemon import view
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.paths import Paths
from tests.boxed import Box
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[1]
ASKING = view.View(n=7, state="pinentry", mono_ms=1, code="enter-pin", pin_left=3)


@contextlib.contextmanager
def typed(text: bytes) -> Iterator[int]:
    """A descriptor from which this is read, and then the end."""
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)


class Worker:
    """The card worker's third socket: answers each PIN with the next of `answers`."""

    def __init__(self, path: Path, *answers: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.given: list[Given] = []
        self._answers = list(answers)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(4)
        self._listener.settimeout(PATIENCE_S)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for answer in self._answers:
            sock, _ = self._listener.accept()
            with contextlib.closing(sock):
                self.given.append(PinChannel(sock, os.getuid()).receive())
                if answer:
                    sock.send(answer)

    def close(self) -> None:
        self._thread.join(PATIENCE_S)
        Path(self._listener.getsockname()).unlink()
        self._listener.close()


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"123456\n", b"123456\r\n", b"123456", b"12345678\nnext"])
def test_one_line_of_digits_is_a_request(line: bytes) -> None:
    with typed(line) as descriptor:
        request = prompt.read_digits(descriptor)
    assert request[:5] == bytes(5)
    assert bytes(request[5:]).rstrip(b"\xff") == line.split(b"\n")[0].strip()


def test_what_follows_the_line_stays_there() -> None:
    with typed(b"123456\n654321\n") as descriptor:
        assert bytes(prompt.read_digits(descriptor)[5:11]) == b"123456"
        assert bytes(prompt.read_digits(descriptor)[5:11]) == b"654321"


@pytest.mark.parametrize("line", [b"", b"\n", b"12345\n", b"123456789\n", b"12345x\n", b"1" * 500])
def test_anything_else_is_refused_and_overwritten(line: bytes, monkeypatch) -> None:
    wiped = []
    real = prompt.pin.wipe
    monkeypatch.setattr(prompt.pin, "wipe", lambda buffer: (wiped.append(buffer), real(buffer)))
    with typed(line) as descriptor, pytest.raises(DecodeError) as caught:
        prompt.read_digits(descriptor)
    assert "1" not in str(caught.value)
    assert {len(buffer) for buffer in wiped} == {1, 13, 64}
    assert not any(any(buffer) for buffer in wiped)


@pytest.mark.parametrize(("line", "yes"), [(b"yes\n", True), (b" OUI \n", True), (b"y\n", False)])
def test_a_yes_is_written_out(line: bytes, yes: bool) -> None:
    with typed(line) as descriptor:
        assert prompt.says_yes(descriptor) is yes


# -- handing over ----------------------------------------------------------------------------------


def request() -> bytearray:
    made = bytearray(5) + b"123456\xff\xff"
    pinframe.write_head(made, 7, last=False)
    return made


def test_it_is_handed_over_and_overwritten(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "pin", pinframe.answer(Status.WRONG, 2))
    sent = request()
    assert prompt.give(tmp_path / "pin", os.getuid(), sent) == (Status.WRONG, 2)
    worker.close()
    assert sent == bytes(13)
    assert worker.given == [Given(7, False, bytearray(b"123456\xff\xff"))]


def test_nobody_there_gets_nothing(tmp_path: Path) -> None:
    sent = request()
    with pytest.raises(Fault, match="agent-unreachable"):
        prompt.give(tmp_path / "pin", 0, sent)
    assert sent == bytes(13)


def test_being_shut_out_is_told(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "pin", b"")
    with pytest.raises(Fault, match="agent-unreachable"):
        prompt.give(tmp_path / "pin", os.getuid(), request())
    worker.close()


def test_an_answer_of_another_is_not_believed(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "pin", pinframe.answer(Status.ACCEPTED))
    with pytest.raises(ipc.ForeignPeer):
        prompt.give(tmp_path / "pin", os.getuid() + 1, request())
    worker.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root")
def test_root_becomes_the_prompts_user(tmp_path: Path) -> None:
    """In a process of its own: there is no way back."""
    door = tmp_path / "pin"
    door.touch()
    os.chown(door, 0, 61005)
    code = (
        "import os, pathlib, resource, sys\nfrom sdbox_agent import prompt\n"
        "prompt.become(61006, pathlib.Path(sys.argv[1]))\n"
        "print(os.getresuid(), os.getresgid(), os.getgroups(),"
        " resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(door)], cwd=ROOT, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "(61006, 61006, 61006) (61005, 61005, 61005) [] (0, 0)"


def test_no_socket_is_no_agent(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Fault, match="agent-unreachable"):
        prompt.become(61006, tmp_path / "pin")


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def pin(tmp_path: Path, box: Box, run, monkeypatch):
    """`sdbox-agent pin` with this on its standard input; the worker answers as told."""
    monkeypatch.setattr(prompt, "become", lambda _uid, _path: None)  # no way back from that

    def call(*words: str, text: bytes = b"", shown: view.View = ASKING, answer: bytes = b""):
        box.answers(shown)
        path = Paths(tmp_path).pin_socket
        worker = Worker(path, answer) if answer else None
        with typed(text) as descriptor, os.fdopen(os.dup(descriptor)) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            code, out, err = run("pin", "--card-user", str(os.getuid()), *words)
        if worker:
            worker.close()
        return code, out, err, worker.given if worker else []

    return call


def test_a_pin_is_given(pin) -> None:
    code, out, err, given = pin(
        "--stdin", text=b"123456\n", answer=pinframe.answer(Status.ACCEPTED)
    )
    assert (code, out) == (0, "The card has taken the PIN.\n")
    assert "PIN attempts left: 3" in err
    assert given == [Given(7, False, bytearray(b"123456\xff\xff"))]


@pytest.mark.parametrize(
    ("status", "left", "word"),
    [
        (Status.WRONG, 2, "pin-wrong"),
        (Status.BLOCKED, 0, "card-blocked"),
        (Status.NOT_NOW, None, "not-allowed"),
        (Status.LAST_TRY, 1, "pin-last-try"),
        (Status.MALFORMED, None, "pin-malformed"),
    ],
)
def test_what_became_of_it_is_told(pin, status: Status, left: int | None, word: str) -> None:
    code, _, err, _ = pin("--stdin", text=b"123456", answer=pinframe.answer(status, left))
    assert code == 1
    assert cli.errors.render(word, "en") in err
    assert "123456" not in err
    code, out, _, _ = pin("--stdin", "--json", text=b"123456", answer=pinframe.answer(status, left))
    assert (code, f'"{status.name.lower()}"' in out) == (1, True)


def test_the_last_try_wants_a_word(pin) -> None:
    last = view.View(n=7, state="pinentry", mono_ms=1, code="pin-last-try", pin_left=1)
    code, _, err, given = pin("--stdin", text=b"123456", shown=last)
    assert (code, given) == (1, [])
    assert cli.errors.render("pin-last-try", "en") in err
    *_, given = pin(
        "--stdin", "--last-try", text=b"123456", shown=last, answer=pinframe.answer(Status.ACCEPTED)
    )
    assert given[0].last


@pytest.mark.parametrize(
    ("shown", "word"),
    [
        (view.View(n=7, state="scanning", mono_ms=1), "not-allowed"),
        (view.View(n=7, state="pinentry", mono_ms=1, code="enter-pin-on-pad"), "enter-pin-on-pad"),
    ],
)
def test_it_is_asked_for_only_when_the_card_waits_for_it(pin, shown: view.View, word: str) -> None:
    code, _, err, _ = pin("--stdin", text=b"123456", shown=shown)
    assert (code, cli.errors.render(word, "en") in err) == (1, True)


def test_no_terminal_and_rubbish_are_refused(pin) -> None:
    assert pin(text=b"123456")[0] == cli.USAGE
    code, _, err, _ = pin("--stdin", text=b"secret!\n")
    assert (code, cli.errors.render("pin-malformed", "en") in err) == (1, True)
    assert "secret" not in err


def test_an_answer_that_is_none_is_a_bug(pin) -> None:
    code, _, err, _ = pin("--stdin", text=b"123456", answer=b"\x09\x09")
    assert (code, cli.errors.render("worker-protocol", "en") in err) == (1, True)


def test_a_terminal_shows_no_digit(tmp_path: Path, box: Box) -> None:
    """The whole command at a terminal of its own: the last try, a yes, then the digits."""
    box.answers(view.View(n=7, state="pinentry", mono_ms=1, pin_left=1))
    worker = Worker(Paths(tmp_path).pin_socket, pinframe.answer(Status.ACCEPTED))
    os.chmod(Paths(tmp_path).pin_socket, 0o777)
    child, terminal = pty.fork()
    if child == 0:
        os.environ["PYTHONPATH"] = str(ROOT)
        words = ["--root", str(tmp_path), "--language", "en", "pin"]
        words += ["--card-user", str(os.getuid()), "--prompt-user", str(os.getuid())]
        os.execv(sys.executable, [sys.executable, "-B", "-m", "sdbox_agent", *words])
    seen = bytearray()
    read_until(terminal, seen, b"to use it.")
    os.write(terminal, b"yes\n")
    read_until(terminal, seen, b"PIN.\r\n")
    until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO)
    os.write(terminal, b"123456\n")
    read_until(terminal, seen, b"taken the PIN.")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    worker.close()
    assert b"123456" not in seen
    assert worker.given == [Given(7, True, bytearray(b"123456\xff\xff"))]


def read_until(terminal: int, seen: bytearray, text: bytes) -> None:
    while text not in seen:
        assert select.select([terminal], [], [], PATIENCE_S)[0], bytes(seen)
        seen += os.read(terminal, 1000)
