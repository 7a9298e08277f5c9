"""[door] The terminal itself: its keys one by one and unechoed, its size, what it understands."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import threading
from typing import TYPE_CHECKING, Final

from sdbox_agent.console import drawing
from sdbox_agent.console.drawing import Line, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

READ_BYTES: Final = 256
_FALLBACK: Final = (80, 24)  # of a line that says no size: a serial one
_MOST: Final = (1000, 500)  # a size is 16 bits each, and nobody draws 4 GB
_UTF8: Final = re.compile(r"utf-?8", re.IGNORECASE)
_IFLAG, _LFLAG, _CC = 0, 3, 6  # of termios.tcgetattr


class Ended(Exception):  # noqa: N818  a state, told as an exception
    """The terminal is gone."""


class Tty:
    """An open terminal; `opened` makes one."""

    def __init__(self, descriptor: int, environment: Mapping[str, str]) -> None:
        self._descriptor = descriptor
        self._kind = environment.get("TERM", "dumb")
        self._commands = drawing.CAPABLE.fullmatch(self._kind) is not None
        named = ("LC_ALL", "LC_CTYPE", "LANG")  # setlocale(3): the first that says anything
        locale = next(filter(None, map(environment.get, named)), "")
        self._unicode = _UTF8.search(locale) is not None

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._descriptor

    @property
    def terminal(self) -> Terminal:
        """As it is now: somebody may have drawn at its corner."""
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            raise Ended from None
        if not columns or not rows:
            columns, rows = _FALLBACK
        columns, rows = min(columns, _MOST[0]), min(rows, _MOST[1])
        return Terminal(columns, rows, self._commands, self._unicode)

    def begin(self) -> None:
        """Nothing of what stood there before stays."""
        if self._commands:
            self._write(drawing.BEGIN + (drawing.BEGIN_LINUX if self._kind == "linux" else b""))

    def end(self) -> None:
        """Nor of ours."""
        if self._commands:
            self._write(drawing.END)

    def show(self, drawn: Sequence[Line], terminal: Terminal) -> None:
        """Write it all. Raises Ended."""
        self._write(drawing.encode(drawn, terminal))

    def keys(self) -> bytes:
        """What has been typed since, without waiting for it. Raises Ended."""
        if not select.select([self._descriptor], [], [], 0)[0]:  # forgotten meanwhile
            return b""
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except OSError:
            raise Ended from None
        if not data:
            raise Ended
        return data

    def forget(self) -> None:
        """What was typed before the box asked is no answer."""
        with contextlib.suppress(termios.error):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            raise Ended from None


@contextlib.contextmanager
def opened(descriptor: int, environment: Mapping[str, str]) -> Iterator[Tty]:
    """Take the terminal at `descriptor` for ourselves, and give it back as it was.

    No key makes a signal or stops the output: nobody at a box ends this, or sends it to sleep.
    SIGTERM and SIGINT leave in order. Raises Ended if it is no terminal.
    """
    try:
        before = termios.tcgetattr(descriptor)
        ours = termios.tcgetattr(descriptor)
    except termios.error:
        raise Ended from None
    ours[_IFLAG] &= ~(termios.IXON | termios.IXOFF | termios.BRKINT)
    ours[_LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    ours[_CC][termios.VMIN], ours[_CC][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, ours)
    tty = Tty(descriptor, environment)
    try:
        with _leaving_in_order():
            tty.begin()
            yield tty
    finally:
        with contextlib.suppress(Ended, termios.error):
            tty.end()
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


@contextlib.contextmanager
def _leaving_in_order() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # signals are that one's
        yield
        return
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        for number, _ in before:
            signal.signal(number, lambda *_: sys.exit(0))
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
