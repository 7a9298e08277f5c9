"""[door] The card's side of QEMU's `ccid-card-passthru`: a virtual card in an emulated CCID reader.

Protocol: libcacard's vscard_common.h, as QEMU's hw/usb/ccid-card-passthru.c speaks it. QEMU tells
nothing of the guest's resets: to the card, a stay in the reader is one power-on. Its reader speaks
T=0 alone, so a card in it does.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

from hil.card.script import Answer, Script

if TYPE_CHECKING:
    from pathlib import Path

    from hil.card.card import Card
    from hil.card.chip import Chip

# vscard_common.h: VSCMsgType; each message is type, reader, length (big-endian), then its bytes.
INIT, ERROR, READER_ADD, READER_REMOVE, ATR, CARD_REMOVE, APDU = range(1, 8)
_HEADER: Final = struct.Struct(">III")
_GREETING: Final = b"VSCD" + struct.pack(">II", 2, 0)  # VSCARD_MAGIC, version 0.0.2, nothing more
MAX_BYTES: Final = 65536  # QEMU's VSCARD_IN_SIZE
READER: Final = 0
ANSWER_S: Final = 30.0


class Broken(Exception):  # noqa: N818  told with what was seen
    """QEMU's end did not keep to the protocol, or refused."""


def message(kind: int, data: bytes = b"") -> bytes:
    """One of them, as it goes over the wire."""
    return _HEADER.pack(kind, READER, len(data)) + data


def t0_alone(atr: bytes) -> bytes:
    """The answer to reset of the same card, offering T=0 and nothing else.

    ISO/IEC 7816-3:2006, 8.2: no interface bytes means T=0, and then there is no check byte (8.2.5).
    """
    initial, t0, *rest = atr
    interface, at = t0 >> 4, 0
    while interface:  # 8.2.3: a bit for each of TA, TB, TC, TD; TD says what follows it
        at += interface.bit_count()
        interface = rest[at - 1] >> 4 if interface & 8 else 0
    return bytes([initial, t0 & 0x0F, *rest[at : at + (t0 & 0x0F)]])


class Reader:
    """The cable of one emulated reader. Plugs it in and out, puts a card in and out."""

    def __init__(self, path: Path) -> None:
        """`path`: the chardev's socket, on which QEMU listens. Raises OSError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_S)
        self._socket.connect(str(path))
        self._sending = threading.Lock()
        self._answered = threading.Semaphore(0)
        self._chip: Chip | None = None
        self.failure: BaseException | None = None
        self.apdus = 0
        self._send(INIT, _GREETING)
        self._thread = threading.Thread(target=self._live, name="ccid", daemon=True)
        self._thread.start()

    def plug(self) -> None:
        """The reader, into the port of the guest that it was given."""
        self._send(READER_ADD)
        if not self._answered.acquire(timeout=ANSWER_S):
            raise Broken("the reader can't be plugged in") from self.failure

    def pull(self) -> None:
        """The reader, out of its port."""
        self._send(READER_REMOVE)
        if not self._answered.acquire(timeout=ANSWER_S):
            raise Broken("the reader can't be pulled") from self.failure

    def insert(self, card: Card) -> None:
        """A card."""
        self._chip = card.power_on()
        self._send(ATR, t0_alone(card.atr))

    def remove(self) -> None:
        """That card."""
        self._send(CARD_REMOVE)
        self._chip = None

    def close(self) -> None:
        """Let go. Raises Broken if the card's side had failed."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(ANSWER_S)
        self._socket.close()
        if self.failure is not None:
            raise Broken("the card's side has failed") from self.failure

    def _send(self, kind: int, data: bytes = b"") -> None:
        with self._sending:
            self._socket.sendall(message(kind, data))

    def _live(self) -> None:
        self._socket.settimeout(None)
        try:
            while (got := self._receive()) is not None:
                self._take(*got)
        except OSError:
            return  # closed
        except Exception as error:  # noqa: BLE001  whatever it is, the rig must hear of it
            self.failure = error

    def _take(self, kind: int, data: bytes) -> None:
        if kind == ERROR:
            (code,) = struct.unpack(">I", data)
            if code:
                raise Broken(f"QEMU's reader says {code}")
            self._answered.release()
        elif kind == APDU:
            chip = self._chip
            if chip is None:
                return  # pulled meanwhile: no card, no answer
            self.apdus += 1
            act = Script(()).play(self.apdus, data, chip)
            assert isinstance(act, Answer)
            self._send(APDU, act.raw)
        elif kind != INIT:
            raise Broken(f"a message of kind {kind}")

    def _receive(self) -> tuple[int, bytes] | None:
        header = self._exactly(_HEADER.size)
        if header is None:
            return None
        kind, _, length = _HEADER.unpack(header)
        if length > MAX_BYTES:
            raise Broken(f"a message of {length} bytes")
        data = self._exactly(length)
        return None if data is None else (kind, data)

    def _exactly(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                return None
            data += part
        return data
