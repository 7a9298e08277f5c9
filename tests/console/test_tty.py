"""A real pseudo-terminal: taken whole, asked its size, given back as it was."""

import concurrent.futures
import errno
import os
import signal
import termios

import pytest

from sdbox_agent.console import drawing, tty
from sdbox_agent.console.drawing import Line, Terminal
from tests.console.terminals import TERM, Desk, desk


def modes(one: Desk) -> list[object]:
    return termios.tcgetattr(one.slave)


def test_keys_come_one_by_one_unechoed_and_none_is_a_signal() -> None:
    with desk() as one:
        before = modes(one)
        with tty.opened(one.slave, TERM) as terminal:
            one.look(5)
            assert one.raw.startswith(drawing.BEGIN)
            assert drawing.BEGIN_LINUX in one.raw
            one.raw = b""
            one.type(b"\x03\x1a\x1c\x131")  # ^C ^Z ^\ ^S and a digit
            got = b""
            while len(got) < 5:
                got += terminal.keys()
            assert got == b"\x03\x1a\x1c\x131"
            terminal.show([Line("é")], Terminal(4, 1, commands=True, unicode=True))  # not stopped
            one.look(5)
            assert "é   ".encode() in one.raw
            assert b"1" not in one.raw.replace(b"\x1b[1;1H", b""), "no echo"
        assert modes(one) == before
        one.look(5)
        assert one.raw.endswith(drawing.END)


def test_what_was_typed_before_may_be_forgotten() -> None:
    with desk() as one, tty.opened(one.slave, TERM) as terminal:
        one.type(b"123\r")
        terminal.forget()
        assert terminal.keys() == b""


@pytest.mark.parametrize(
    ("environment", "commands", "unicode"),
    [
        (TERM, True, True),
        ({"TERM": "xterm", "LC_ALL": "C", "LANG": "fr_FR.UTF-8"}, True, False),
        ({"TERM": "vt100", "LC_CTYPE": "fr_FR.utf8"}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_what_it_understands_is_read_from_its_name_and_locale(
    environment: dict[str, str], *, commands: bool, unicode: bool
) -> None:
    with desk(100, 30) as one, tty.opened(one.slave, environment) as terminal:
        assert terminal.terminal == Terminal(100, 30, commands, unicode)
        one.resize(50, 12)
        assert terminal.terminal == Terminal(50, 12, commands, unicode)
        one.resize(0, 0)
        assert (terminal.terminal.columns, terminal.terminal.rows) == (80, 24)
        termios.tcsetwinsize(one.slave, (65535, 65535))
        assert (terminal.terminal.columns, terminal.terminal.rows) == (1000, 500)
        assert terminal.fileno() == one.slave


def test_a_dumb_terminal_is_given_lines_and_nothing_else() -> None:
    with desk() as one:
        with tty.opened(one.slave, {"TERM": "dumb"}) as terminal:
            terminal.show([Line("one"), Line("two")], terminal.terminal)
        one.look(5)
        assert b"\x1b" not in one.raw
        assert b"one" in one.raw


def test_what_is_no_terminal_or_is_gone_is_told() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(tty.Ended), tty.opened(read, TERM):
            pytest.fail("a pipe was taken")
    finally:
        os.close(read)
        os.close(write)
    with desk() as one, tty.opened(one.slave, TERM) as terminal:
        os.close(one.master)
        with pytest.raises(tty.Ended):
            terminal.keys()
        with pytest.raises(tty.Ended):
            terminal.show([Line("x")], Terminal(2, 1, commands=True, unicode=True))
        one.master = -1
    with pytest.raises(tty.Ended):
        _ = terminal.terminal
    terminal.forget()  # of what is gone there is nothing left to forget


@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "hung up")], ids=["end", "error"])
def test_a_terminal_that_ends_while_it_is_read_is_told(
    monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    def read(*_: object) -> bytes:
        if error is not None:
            raise error
        return b""

    with desk() as one, tty.opened(one.slave, TERM) as terminal:
        monkeypatch.setattr(os, "read", read)
        one.type(b"1")
        with pytest.raises(tty.Ended):
            terminal.keys()
        monkeypatch.undo()


def test_in_another_thread_signals_stay_as_they_are() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def taken() -> object:
        with desk() as one, tty.opened(one.slave, TERM):
            return signal.getsignal(signal.SIGTERM)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(taken).result() is before
