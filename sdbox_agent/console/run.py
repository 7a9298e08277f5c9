"""The console's loop: one terminal, one connection to the box's program [door].

A program that is gone, or does not answer, is said to be, and is asked for again until it is there.
"""

from __future__ import annotations

import contextlib
import select
import time
from typing import TYPE_CHECKING, Final, NoReturn

from sdbox_agent import ipc
from sdbox_agent.console import drawing, keys, page, scene
from sdbox_agent.console.scene import Scene
from sdbox_agent.daemon import view
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from pathlib import Path

    from sdbox_agent.console.tty import Tty
    from sdbox_agent.ipc import Message

TURN_S: Final = 0.5  # at least this often the size is looked at, and a lost box
SILENT_S: Final = 5.0  # then the box is asked whether it is there
ANSWER_S: Final = 3.0  # it answers in milliseconds, or hangs
RETRY_S: Final = 1.0
AGAIN_S: Final = 5.0  # what somebody else has written on the terminal stays no longer


class Console:
    """Draws what the box says, and tells it what is chosen."""

    def __init__(self, tty: Tty, socket_path: Path, language: str) -> None:
        """Nothing is connected or drawn yet."""
        self._tty = tty
        self._path = socket_path
        self._language = language
        self._box: ipc.Channel[Message] | None = None
        self._scene = Scene(lost_ms=_now_ms())
        self._begun = b""  # a key's sequence whose end has not come
        self._heard_s = self._asked_s = 0.0
        self._tried_s = -RETRY_S
        self._drawn: object = None
        self._drawn_s = 0.0

    def run(self) -> NoReturn:
        """For ever. Raises tty.Ended with the terminal."""
        try:
            while True:
                self._turn()
        finally:
            self._let_go()

    def _turn(self) -> None:
        if self._box is None and time.monotonic() - self._tried_s >= RETRY_S:
            self._connect()
        self._draw()
        waiting = [one for one in (self._tty, self._box) if one is not None]
        readable, _, _ = select.select(waiting, [], [], TURN_S)
        if self._box in readable:  # first: a key belongs to what stands on the screen
            self._hear()
        if self._tty in readable:
            self._typed()
        elif not readable:
            self._begun = b""  # nobody is that slow: it was the key Escape
        self._is_it_there()

    # -- the box -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._tried_s = time.monotonic()
        try:
            owner = self._path.stat().st_uid
            self._box = ipc.connect(self._path, view.FromBox, owner, timeout_s=0)
        except OSError:
            self._lost("agent-unreachable")
            return
        self._heard_s = self._asked_s = time.monotonic()
        self._say(view.WatchBox())

    def _say(self, message: Message) -> None:
        """What can't be said is not told here: it is heard, or found out by silence."""
        assert self._box is not None  # with nobody there no key has a message
        with contextlib.suppress(OSError):
            self._box.send(message)

    def _hear(self) -> None:
        assert self._box is not None
        try:
            message = self._box.receive()
        except OSError:
            self._lost("agent-unreachable")
            return
        except DecodeError:
            self._lost("worker-protocol")
            return
        self._heard_s = time.monotonic()
        if isinstance(message, view.View):
            self._see(message)
        elif isinstance(message, view.NotTaken) and self._scene.view is None:
            self._lost(message.code)  # we may not watch
        else:
            self._scene = scene.answered(self._scene, message)

    def _see(self, shown: view.View) -> None:
        before = self._scene
        self._scene = scene.seen(before, shown)
        if self._scene.asks and (before.view is None or before.view.state != shown.state):
            self._tty.forget()

    def _is_it_there(self) -> None:
        """A program that hangs keeps its socket: what it said last is not shown for ever."""
        if self._box is None:
            return
        now_s = time.monotonic()
        silent_s = now_s - self._heard_s
        if silent_s >= SILENT_S + ANSWER_S:
            self._lost("agent-unreachable")
        elif silent_s >= SILENT_S and self._asked_s <= self._heard_s:
            self._asked_s = now_s
            self._say(view.AskStatus())

    def _lost(self, code: str) -> None:
        self._let_go()
        self._scene = scene.lost(self._scene, code, _now_ms())

    def _let_go(self) -> None:
        if self._box is not None:
            self._box.close()
            self._box = None

    # -- the terminal ------------------------------------------------------------------------------

    def _typed(self) -> None:
        found, self._begun = keys.decode(self._begun + self._tty.keys())
        for key in found:
            self._scene, message = scene.pressed(self._scene, key)
            if message is not None:
                self._say(message)

    def _draw(self) -> None:
        terminal = self._tty.terminal
        drawn = drawing.lines(page.page(self._scene, self._language), terminal)
        now_s = time.monotonic()
        again = terminal.commands and now_s - self._drawn_s >= AGAIN_S
        if (drawn, terminal) != self._drawn or again:
            self._drawn, self._drawn_s = (drawn, terminal), now_s
            self._tty.show(drawn, terminal)


def _now_ms() -> float:
    return time.monotonic() * 1000
