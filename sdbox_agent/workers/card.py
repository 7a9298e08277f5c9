"""The card worker: a process that owns the card and answers to the core and the finger process.

    python -m sdbox_agent.workers.card --root DIR --core-uid N --finger-uid N

Listening sockets come from the service manager, in this order: core.sock, finger.sock. One thread
runs everything but the calls into PC/SC, which have two of their own: one waits for readers to
change, one talks to the card. The rules are in card/service.py; here are sockets, the deadline and
the process itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdbox_agent import ipc
from sdbox_agent.card import pcsc
from sdbox_agent.card.runner import Link, Runner
from sdbox_agent.card.service import Means, Service
from sdbox_agent.errors import DecodeError
from sdbox_agent.hardening import close_memory, has_swap, lock_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.card.channel import Channel
    from sdbox_agent.card.presence import Insertion, Looks

EXCHANGE_DEADLINE_S: Final = 10.0  # design section 5: card exchange
CLOSING_S: Final = 2.0  # design section 5: closing
MAX_FINGERS: Final = 4  # connections at once: one is used, the rest is patience (fault 96)
EXIT_MUTE: Final = 75  # sysexits: EX_TEMPFAIL; the supervisor starts us again
EXIT_CONFIG: Final = 78  # sysexits: EX_CONFIG

_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred, unix(7)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where this worker's peers come in, and who they must be."""

    core: socket.socket
    finger: socket.socket
    core_uid: int
    finger_uid: int


class CardWorker:
    """The loop. `connect` takes a card; `deadline_s` bounds each call to it."""

    def __init__(
        self,
        doors: Doors,
        connect: Callable[[str, int], Channel],
        *,
        deadline_s: float = EXCHANGE_DEADLINE_S,
    ) -> None:
        self._doors = doors
        self._deadline_s = deadline_s
        self._connect = connect
        self._runner = Runner()
        self._service = Service(Means(self._run, self._link, secrets.token_bytes))
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake_lock = threading.Lock()
        self._wake_write: int | None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._core: ipc.Channel[ipc.FromCore] | None = None
        self._fingers: set[ipc.Channel[ipc.Unwrap]] = set()
        self._stop_at_s: float | None = None
        self._stopped = False
        for sock, act in ((doors.core, self._core_comes), (doors.finger, self._finger_comes)):
            sock.settimeout(0)
            self._selector.register(sock, selectors.EVENT_READ, act)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)

    # -- from other threads ----------------------------------------------------------------------

    def post(self, act: Callable[[], None]) -> None:
        """From any thread: have the loop do `act`; nothing once it has ended."""
        self._inbox.append(act)
        with self._wake_lock, contextlib.suppress(BlockingIOError):  # full: the loop will wake
            if self._wake_write is not None:
                os.write(self._wake_write, b"\0")

    def readers(self, looks: Looks) -> None:
        """From any thread: what PC/SC sees."""
        self.post(partial(self._service.readers, looks))

    def stop(self) -> None:
        """From any thread: close the card, then end the loop."""
        self.post(self._stop)

    def _run(self, work: Callable[[], ipc.Message], deliver: Callable[[ipc.Message], None]) -> None:
        self._runner.submit(lambda: self.post(partial(deliver, work())))

    def _link(self, insertion: Insertion) -> Link:
        return Link(self._runner, partial(self._connect, insertion.reader, insertion.events))

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until stopped: 0, or EXIT_MUTE when a call to the card has passed its deadline."""
        try:
            while not self._stopped:
                ready = self._selector.select(self._patience_s())
                if self._has_passed(self._stop_at_s):
                    return 0  # the reset did not come through in time: our end resets it too
                if self._has_passed(self._card_late_at_s()):
                    self._service.card_is_mute()
                    return EXIT_MUTE
                # The core first: what it grants, it grants before the finger process asks.
                for key, _ in sorted(ready, key=lambda pair: pair[0].fileobj is not self._core):
                    key.data()
            return 0
        finally:
            self._close()

    def _patience_s(self) -> float | None:
        ends = [end_s for end_s in (self._stop_at_s, self._card_late_at_s()) if end_s is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _card_late_at_s(self) -> float | None:
        since_s = self._runner.busy_since_s
        return None if since_s is None else since_s + self._deadline_s

    @staticmethod
    def _has_passed(end_s: float | None) -> bool:
        return end_s is not None and time.monotonic() >= end_s

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 512):
                pass
        while self._inbox:
            self._inbox.popleft()()

    def _stop(self) -> None:
        if self._stop_at_s is None:
            self._stop_at_s = time.monotonic() + CLOSING_S
            self._service.core_went()
            self._runner.submit(lambda: self.post(self._ended))

    def _ended(self) -> None:
        self._stopped = True

    def _close(self) -> None:
        for channel in (self._core, *self._fingers):
            if channel is not None:
                channel.close()
        self._selector.close()
        with self._wake_lock:
            assert self._wake_write is not None
            os.close(self._wake_write)
            self._wake_write = None
        os.close(self._wake_read)

    # -- the core --------------------------------------------------------------------------------

    def _core_comes(self) -> None:
        sock = _accept(self._doors.core, self._doors.core_uid)
        if sock is None:
            return
        if self._core is not None:
            self._drop_core()
        core: ipc.Channel[ipc.FromCore] = ipc.Channel(sock, ipc.FromCore, self._doors.core_uid)
        self._core = core
        self._selector.register(core, selectors.EVENT_READ, partial(self._core_speaks, core))
        self._service.core_came(partial(self._tell_core, core))

    def _core_speaks(self, core: ipc.Channel[ipc.FromCore]) -> None:
        while core is self._core:
            try:
                message = core.receive()
            except BlockingIOError:
                return
            except (ipc.Closed, ipc.ForeignPeer, OSError):
                self._lose_core()
            except DecodeError:  # a core that doesn't keep the protocol is not served on
                self._tell_core(core, ipc.Failed(code="worker-protocol"))
                self._lose_core()
            else:
                self._service.from_core(message)

    def _tell_core(self, core: ipc.Channel[ipc.FromCore], message: ipc.Message) -> None:
        if core is not self._core:
            return
        try:
            core.send(message)
        except OSError:  # gone, or so far behind that its buffer is full
            self.post(partial(self._lose_if, core))

    def _lose_if(self, core: ipc.Channel[ipc.FromCore]) -> None:
        if core is self._core:
            self._lose_core()

    def _lose_core(self) -> None:
        self._drop_core()
        self._service.core_went()

    def _drop_core(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            self._selector.unregister(core)
            core.close()

    # -- finger processes ------------------------------------------------------------------------

    def _finger_comes(self) -> None:
        sock = _accept(self._doors.finger, self._doors.finger_uid)
        if sock is None:
            return
        if len(self._fingers) == MAX_FINGERS:
            sock.close()
            return
        finger: ipc.Channel[ipc.Unwrap] = ipc.Channel(sock, ipc.Unwrap, self._doors.finger_uid)
        self._fingers.add(finger)
        self._selector.register(finger, selectors.EVENT_READ, partial(self._finger_speaks, finger))

    def _finger_speaks(self, finger: ipc.Channel[ipc.Unwrap]) -> None:
        if finger not in self._fingers:
            return
        try:
            message = finger.receive()
        except BlockingIOError:
            return
        except (DecodeError, OSError):
            self._drop_finger(finger)
            return
        self._service.from_finger(message, partial(self._tell_finger, finger))

    def _tell_finger(self, finger: ipc.Channel[ipc.Unwrap], message: ipc.Message) -> None:
        if finger not in self._fingers:
            return
        try:
            finger.send(message)
        except OSError:
            self._drop_finger(finger)

    def _drop_finger(self, finger: ipc.Channel[ipc.Unwrap]) -> None:
        self._fingers.discard(finger)
        self._selector.unregister(finger)
        finger.close()


def _accept(door: socket.socket, uid: int) -> socket.socket | None:
    """Whoever is at the door, if it is `uid` (SO_PEERCRED); anybody else is shut out unheard."""
    try:
        sock, _ = door.accept()
    except OSError:  # gone again, or no descriptor left
        return None
    sock.settimeout(0)
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(raw)[1] != uid:
        sock.close()
        return None
    return sock


def keep_memory_private() -> None:
    """No core dump, no debugger of our own uid, and no page of ours in swap.

    Raises OSError where memory can't be locked although there is swap.
    """
    close_memory()
    try:
        lock_memory()
    except OSError:
        if has_swap():
            raise


def main(argv: list[str] | None = None) -> int:
    """Run the worker until SIGTERM."""
    parser = argparse.ArgumentParser(prog="sdbox_agent.workers.card")
    parser.add_argument("--root", type=Path, required=True, help="the box's root directory")
    parser.add_argument("--core-uid", type=int, required=True)
    parser.add_argument("--finger-uid", type=int, required=True)
    options = parser.parse_args(argv)
    sockets = ipc.listen_descriptors()
    if len(sockets) != 2:
        sys.stderr.write("card worker: wants core.sock and finger.sock as LISTEN_FDS\n")
        return EXIT_CONFIG
    try:
        keep_memory_private()
    except OSError as error:
        sys.stderr.write(f"card worker: memory can't be kept private: {error.strerror}\n")
        return EXIT_CONFIG
    doors = Doors(sockets[0], sockets[1], options.core_uid, options.finger_uid)
    worker = CardWorker(doors, pcsc.Connection)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: worker.stop())
    watcher = pcsc.Watcher(worker.readers)
    status = worker.run()
    if status == 0:
        watcher.stop()
    sys.stderr.flush()
    # Threads may be stuck inside PC/SC; pcscd resets the card of a client that is gone.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
