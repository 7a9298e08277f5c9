"""The local socket: status, panel and command line [door].

Whoever may speak here is decided by uid, once, when the connection is taken. A watcher that does
not read is let go, and of those that connect and stay silent the oldest makes room: each can always
come back and ask.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent import ipc
from sdbox_agent.daemon import view
from sdbox_agent.errors import DecodeError
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

MAX_CLIENTS: Final = 16
PAUSE_S: Final = 1.0  # after accept(2) failed: no descriptor left, most likely
_UCRED: Final = struct.Struct("iII")  # unix(7), SO_PEERCRED: pid, uid, gid

Watcher = ipc.Channel[ipc.Message]


class LocalSocket:
    """Serves views, takes choices."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: Path,
        uids: frozenset[int],
        feed: Callable[[on.Event], None],
        standing: tuple[str, ...] = (),
    ) -> None:
        """Listen at `path`, for these uids; `standing` is in every view. Raises OSError."""
        self._loop = loop
        self._uids = uids
        self._feed = feed
        self._state: at.State = at.Idle(0)
        self._view = msgspec.structs.replace(view.view(self._state, 0), standing=standing)
        self._pause: asyncio.TimerHandle | None = None
        self._watchers: set[Watcher] = set()
        self._clients: dict[Watcher, None] = {}  # in the order they came
        path.unlink(missing_ok=True)  # left by an agent that was killed; flock says it is dead
        self._listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        ipc.name_senders(self._listener)
        self._listener.bind(str(path))
        path.chmod(0o666)  # who may speak is checked by uid, not by the file's mode
        self._listener.listen(MAX_CLIENTS)
        self._listen()

    def show(self, state: at.State, mono_ms: float) -> None:
        """Tell every watcher of a new state."""
        self._state = state
        kept = {"link": self._view.link, "standing": self._view.standing}
        self._tell(msgspec.structs.replace(view.view(state, mono_ms), **kept))

    def show_link(self, link: view.LinkView) -> None:
        """The same of the link to the centre."""
        self._tell(msgspec.structs.replace(self._view, link=link))

    def show_standing(self, standing: tuple[str, ...]) -> None:
        """The same of what is so of the box."""
        self._tell(msgspec.structs.replace(self._view, standing=standing))

    def _tell(self, shown: view.View) -> None:
        self._view = shown
        for client in tuple(self._watchers):
            self._send(client, shown)

    def close(self) -> None:
        """For good."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for client in tuple(self._clients):
            self._let_go(client)

    def _listen(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # it thought better of it
            return
        except OSError:
            self._loop.remove_reader(self._listener.fileno())
            self._pause = self._loop.call_later(PAUSE_S, self._listen)
            return
        sock.settimeout(0)
        ucred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(ucred)
        client: Watcher = ipc.Channel(sock, view.ToBox, uid)
        if uid not in self._uids or not self._room():
            with contextlib.suppress(OSError):
                client.send(view.NotTaken(code="not-allowed"))
            client.close()
            return
        self._clients[client] = None
        self._loop.add_reader(client.fileno(), self._readable, client)

    def _room(self) -> bool:
        """Is there room for one more? The oldest that does not watch makes it."""
        if len(self._clients) < MAX_CLIENTS:
            return True
        silent = next((client for client in self._clients if client not in self._watchers), None)
        if silent is not None:
            self._let_go(silent)
        return silent is not None

    def _readable(self, client: Watcher) -> None:
        try:
            message = client.receive()
        except BlockingIOError:
            return
        except (DecodeError, OSError):
            self._let_go(client)
            return
        match message:
            case view.WatchBox():
                self._watchers.add(client)
                self._send(client, self._view)
            case view.AskStatus():
                self._send(client, self._view)
            case view.ChooseProject():
                self._choose(client, message.project)
            case view.EnterCode():
                self._enter_code(client, message.code)
            case view.CancelSession():
                self._send(client, view.Taken())
                self._feed(on.Cancelled())
            case _:
                self._let_go(client)

    def _choose(self, client: Watcher, project: str) -> None:
        """An answer at once for a person; the machine checks again."""
        if not isinstance(self._state, at.Choosing):
            self._send(client, view.NotTaken(code="not-allowed"))
            return
        grants = {grant.project: grant.code for grant in self._state.access.answer.grants}
        if project not in grants:
            self._send(client, view.NotTaken(code="project-not-granted"))
        elif code := grants[project]:
            self._send(client, view.NotTaken(code=code))
        else:
            self._send(client, view.Taken())
            self._feed(on.ProjectChosen(project))

    def _enter_code(self, client: Watcher, code: str) -> None:
        if not isinstance(self._state, at.CodeEntry):
            self._send(client, view.NotTaken(code="not-allowed"))
            return
        self._send(client, view.Taken())
        self._feed(on.CodeEntered(code))

    def _send(self, client: Watcher, message: ipc.Message) -> None:
        try:
            client.send(message)
        except OSError:
            self._let_go(client)

    def _let_go(self, client: Watcher) -> None:
        if client in self._clients:
            del self._clients[client]
            self._watchers.discard(client)
            with contextlib.suppress(OSError, ValueError):
                self._loop.remove_reader(client.fileno())
            client.close()
