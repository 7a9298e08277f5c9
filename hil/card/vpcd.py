"""The card's side of a connection to vpcd (vsmartcard 3.3, vpcd.h).

Each insertion has a thread of its own, which stands in the reader's network namespace, obeys vpcd's
frames and acts out the declared faults. The end of the stream is the card's removal.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, assert_never

from typing_extensions import override

from hil.card.apdu import Reply, Sw
from hil.card.insertion import Exchange, Insertion
from hil.card.script import FRAME_LENGTH_BYTES, Act, Answer, Reset, Silence, Swap, Tear

if TYPE_CHECKING:
    from hil.card.card import Card
    from hil.card.chip import Chip
    from hil.card.namespace import NetworkNamespace

# vpcd.h: frames of one byte are controls; POWER_OFF, and what is not known, only take power away.
POWER_OFF: Final = b"\x00"
POWER_ON: Final = b"\x01"
RESET: Final = b"\x02"
GET_ATR: Final = b"\x04"

CONNECT_DEADLINE_S: Final = 5.0

_log = logging.getLogger(__name__)


class ReaderGoneError(OSError):
    """Nothing listens where the reader should be."""


class CardThread(threading.Thread):
    """One card at one reader, until one of them is gone."""

    def __init__(self, insertion: Insertion, port: int, namespace: NetworkNamespace | None) -> None:
        super().__init__(name=f"card-{port}", daemon=True)
        self.insertion = insertion
        self._port = port
        self._namespace = namespace
        self._connected = threading.Event()
        self._failure: OSError | None = None
        self._pulled = threading.Event()
        self._plugging = threading.Lock()
        self._socket: socket.socket | None = None

    # -- called by the rig

    def wait_connected(self) -> None:
        """Raises ReaderGoneError."""
        self._connected.wait(CONNECT_DEADLINE_S)
        if self._failure is not None or not self._connected.is_set():
            raise ReaderGoneError("no reader listens") from self._failure

    def pull(self, deadline_s: float) -> None:
        """The card is out when this returns."""
        with self._plugging:
            self._pulled.set()
            self._out()
        self.join(deadline_s)
        if self.is_alive():
            raise RuntimeError("the card's thread does not end")
        self.insertion.ended.set()

    # -- the card's own

    @override
    def run(self) -> None:
        try:
            if self._namespace is not None:
                self._namespace.enter()
            self._plug()
        except OSError as error:
            self._failure = error
            return
        finally:
            self._connected.set()
        try:
            self._live()
        except (OSError, EOFError):
            _log.debug("the reader's end is closed")
        except Exception as error:  # noqa: BLE001 - whatever it is, the rig must hear of it
            self.insertion.errors.append(error)
            self._out()
        finally:
            self._unplug()
            if self.insertion.removed_at_ns is not None:
                self.insertion.ended.set()  # else the reader went, and the card is where it was

    def _live(self) -> None:
        while (another := self._serve()) is not None:
            with self._plugging:
                if self._pulled.is_set():
                    return
                self.insertion.card = another
                self._unplug()
                self._plug()

    def _plug(self) -> None:
        fresh = socket.create_connection(("127.0.0.1", self._port), CONNECT_DEADLINE_S)
        fresh.settimeout(None)
        fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = fresh
        if self.insertion.inserted_at_ns is None:
            self.insertion.inserted_at_ns = time.monotonic_ns()
        self.insertion.removed_at_ns = None

    def _unplug(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _out(self) -> None:
        """The moment the card is gone: the reader's end sees the end of the stream."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the reader was gone first
                self._socket.shutdown(socket.SHUT_RDWR)
        if self.insertion.removed_at_ns is None:
            self.insertion.removed_at_ns = time.monotonic_ns()

    def _serve(self) -> Card | None:
        """Obey frames until the card is out (None), or another takes its place."""
        chip = self._power()
        while True:
            frame = self._receive()
            if len(frame) == 1:
                chip = self._control(frame, chip)
                continue
            at_ns = time.monotonic_ns()
            act = self._act(frame, chip)
            if isinstance(act, Swap) and act.silently:
                self.insertion.card = act.card
                act = Reset()
            if isinstance(act, Reset):
                chip = self._power()
                act = self._act(frame, chip)
            self._note(frame, act, at_ns)
            match act:
                case Answer(raw=raw):
                    self._send(raw)
                case Tear(partial=partial):
                    self._connection.sendall(partial)
                    self._out()
                    return None
                case Silence():
                    self._deaf()
                case Swap(card=card):
                    self._out()
                    return card
                case Reset():
                    raise AssertionError("an APDU is played once after a reset")
                case _:
                    assert_never(act)

    def _act(self, frame: bytes, chip: Chip) -> Act:
        n = self.insertion.apdus + 1
        delay_ms = self.insertion.script.delay_ms(n)
        if delay_ms and self._pulled.wait(delay_ms / 1000):
            raise EOFError
        try:
            return self.insertion.script.play(n, frame, chip)
        except Exception as error:  # noqa: BLE001 - a card never dies silently: it says 6F00
            self.insertion.errors.append(error)
            return Answer(Reply(sw=Sw.NO_DIAGNOSIS).encode())

    def _control(self, frame: bytes, chip: Chip) -> Chip:
        if frame == GET_ATR:
            self._send(self.insertion.card.atr)
            return chip
        if frame == POWER_ON:
            self.insertion.powered.set()
        elif frame == RESET:
            self.insertion.resets += 1
        return self._power()

    def _power(self) -> Chip:
        chip = self.insertion.card.power_on()
        self.insertion.script.fit(chip)
        return chip

    def _note(self, frame: bytes, act: Act, at_ns: int) -> None:
        cla, ins, p1, p2 = frame[:4].ljust(4, b"\x00")
        sent = act.raw if isinstance(act, Answer) else b""
        self.insertion.log.append(
            Exchange(
                n=self.insertion.apdus + 1,
                cla=cla,
                ins=ins,
                p1=p1,
                p2=p2,
                command_bytes=len(frame),
                reply_bytes=len(sent),
                sw=int.from_bytes(sent[-2:], "big") if len(sent) >= 2 else None,
                at_ns=at_ns,
                took_ns=time.monotonic_ns() - at_ns,
            )
        )

    @property
    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise EOFError
        return self._socket

    def _deaf(self) -> None:
        while True:
            self._receive()

    def _receive(self) -> bytes:
        return self._exactly(int.from_bytes(self._exactly(FRAME_LENGTH_BYTES), "big"))

    def _exactly(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            # vpcd sends length and body apart: without this, Nagle and the delayed
            # acknowledgement cost 44 ms an APDU. The kernel forgets it after each receive.
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            part = self._connection.recv(count - len(received))
            if not part:
                raise EOFError
            received += part
        return received

    def _send(self, body: bytes) -> None:
        self._connection.sendall(len(body).to_bytes(FRAME_LENGTH_BYTES, "big") + body)
