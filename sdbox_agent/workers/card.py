"""The card worker: a process that owns the card and answers to core, finger and prompt process.

    python -m sdbox_agent.workers.card --root DIR --core-uid N --finger-uid N --prompt-uid N

Listening sockets come from the service manager: core.sock, finger.sock, pin.sock. One thread runs
everything but the calls into PC/SC, which have two of their own: one waits for readers to change,
one talks to the card. The rules are in card/service.py; here are sockets, deadlines and the process
itself.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import secrets
import selectors
import signal
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
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.door import Door, accept
from sdbox_agent.card.either import EitherToken
from sdbox_agent.card.pindoor import PinChannel
from sdbox_agent.card.pinframe import Status
from sdbox_agent.card.pkcs11 import LibraryToken, Spare
from sdbox_agent.card.runner import Link, Runner
from sdbox_agent.card.service import Means, Service
from sdbox_agent.errors import DecodeError
from sdbox_agent.hardening import close_memory, keep_out_of_swap

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sdbox_agent.card.channel import Channel
    from sdbox_agent.card.looks import Looks
    from sdbox_agent.card.presence import Insertion
    from sdbox_agent.card.token import Token

EXCHANGE_DEADLINE_S: Final = 10.0  # design section 5: card exchange
CLOSING_S: Final = 2.0  # design section 5: closing
EXIT_MUTE: Final = 75  # sysexits: EX_TEMPFAIL; the supervisor starts us again
EXIT_CONFIG: Final = 78  # sysexits: EX_CONFIG

Finger = ipc.Channel[ipc.ToCardFromFinger]


@dataclass(frozen=True, slots=True)
class Doors:
    """Where this worker's peers come in, and who they must be."""

    core: socket.socket
    finger: socket.socket
    prompt: socket.socket
    core_uid: int
    finger_uid: int
    prompt_uid: int


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
        self._spare = Spare()
        self._service = Service(Means(self._run, self._token))
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake_lock = threading.Lock()
        self._wake_write: int | None
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._core: ipc.Channel[ipc.FromCore] | None = None
        self._stop_at_s: float | None = None
        self._stopped = False
        doors.core.settimeout(0)
        self._selector.register(doors.core, selectors.EVENT_READ, self._core_comes)
        self._fingers: Door[Finger] = Door(
            self._selector, doors.finger, doors.finger_uid, self._finger, self._finger_speaks
        )
        self._prompts: Door[PinChannel] = Door(
            self._selector, doors.prompt, doors.prompt_uid, self._prompt, self._prompt_speaks
        )
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

    def _token(self, insertion: Insertion) -> Token:
        connect = partial(self._connect, insertion.reader, insertion.events)
        link = partial(Link, self._runner, connect)
        ended = partial(self.post, partial(self._service.token_ended, insertion.number))
        return EitherToken(
            {
                "pcsc": lambda: Conversation(link(), secrets.token_bytes),
                "pkcs11": lambda: LibraryToken(
                    link, self._runner.call, spare=self._spare, ended=ended
                ),
            }
        )

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until stopped: 0, or EXIT_MUTE when a call to the card has passed its deadline."""
        gc.freeze()  # no collection looks at what is there by now: 6 ms, in which a card may go
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
            self._runner.submit(self._spare.close)
            self._runner.submit(lambda: self.post(self._ended))

    def _ended(self) -> None:
        self._stopped = True

    def _close(self) -> None:
        self._drop_core()
        self._fingers.close()
        self._prompts.close()
        self._selector.close()
        with self._wake_lock:
            assert self._wake_write is not None
            os.close(self._wake_write)
            self._wake_write = None
        os.close(self._wake_read)

    # -- the core --------------------------------------------------------------------------------

    def _core_comes(self) -> None:
        sock = accept(self._doors.core, self._doors.core_uid)
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

    # -- finger and prompt processes -------------------------------------------------------------

    def _finger(self, sock: socket.socket) -> Finger:
        return ipc.Channel(sock, ipc.ToCardFromFinger, self._doors.finger_uid)

    def _finger_speaks(self, finger: Finger) -> None:
        def reply(message: ipc.Message) -> None:
            self._fingers.tell(finger, partial(finger.send, message))

        self._service.from_finger(finger.receive(), reply)

    def _prompt(self, sock: socket.socket) -> PinChannel:
        return PinChannel(sock, self._doors.prompt_uid)

    def _prompt_speaks(self, prompt: PinChannel) -> None:
        def reply(status: Status, left: int | None) -> None:
            self._prompts.tell(prompt, partial(prompt.send, status, left))

        try:
            given = prompt.receive()
        except ipc.ForeignPeer:
            raise
        except DecodeError:
            reply(Status.MALFORMED, None)
        else:
            self._service.from_prompt(given.n, given.field, reply, last=given.last)


def main(argv: list[str] | None = None) -> int:
    """Run the worker until SIGTERM."""
    parser = argparse.ArgumentParser(prog="sdbox_agent.workers.card")
    parser.add_argument("--root", type=Path, required=True, help="the box's root directory")
    parser.add_argument("--core-uid", type=int, required=True)
    parser.add_argument("--finger-uid", type=int, required=True)
    parser.add_argument("--prompt-uid", type=int, required=True)
    options = parser.parse_args(argv)
    sockets = ipc.listen_descriptors()
    if len(sockets) != 3:
        sys.stderr.write("card worker: wants core.sock, finger.sock and pin.sock as LISTEN_FDS\n")
        return EXIT_CONFIG
    try:
        close_memory()
        keep_out_of_swap()
    except OSError as error:
        sys.stderr.write(f"card worker: memory can't be kept private: {error.strerror}\n")
        return EXIT_CONFIG
    core, finger, prompt = sockets
    uids = (options.core_uid, options.finger_uid, options.prompt_uid)
    doors = Doors(core, finger, prompt, *uids)
    worker = CardWorker(doors, pcsc.Connection)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: worker.stop())
    watcher = pcsc.Watcher(worker.readers)
    gc.freeze()  # no collection looks at what is there by now: 6 ms, in which a card may go
    status = worker.run()
    if status == 0:
        watcher.stop()
    sys.stderr.flush()
    # Threads may be stuck inside PC/SC; pcscd resets the card of a client that is gone.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
