"""[door] Datagrams of one UDP socket as frames of one TLS connection, and back: both ends use it.

Nothing blocks; whoever owns it says when which socket is ready. A datagram that can't be passed on
at once is dropped, as any path may drop it. Does not know who is at either end.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
from typing import Final

from typing_extensions import override

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import LOOPBACK
from sdbox_agent.tunnel.frames import MAX_DATAGRAM_BYTES, Frames, Queue

RECORD_BYTES: Final = 14 * 1024  # with one datagram more it still fits one TLS record (16 KiB)
READ_BYTES: Final = 16 * 1024  # a whole record: none of it stays where no selector looks
TURN_DATAGRAMS: Final = 64  # so many in one turn, then somebody else's
UNSENT_BYTES: Final = 64 * 1024  # TCP takes no more than it can soon send; the rest waits in Queue
SILENCE_MS: Final = 10_000  # what was sent and never acknowledged: the other end is gone
_TCP_NOTSENT_LOWAT: Final = 25  # <linux/tcp.h>
_LET_GO: Final = struct.pack("ii", 1, 0)  # socket(7): at its end, killed or not, nothing is sent on


class Ended(Exception):  # noqa: N818  a state, told as an exception
    """Nothing passes any more: one of the two ends is gone, or said what it may not."""


class Relay:
    """One carried tunnel, seen from one end."""

    def __init__(self, tls: ssl.SSLSocket, udp: socket.socket) -> None:
        """`udp` is connected to WireGuard's port: nobody else's datagrams reach it."""
        self.tls, self.udp = tls, udp
        self._queue = Queue()
        self._frames = Frames()
        self.received_bytes = 0  # from the other end, since the beginning
        self.taken = 0  # datagrams from `udp`, since the beginning
        self._unsent = b""  # of a record that TCP has no room for yet
        udp.settimeout(0)
        tls.settimeout(0)
        tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LET_GO)

    @property
    def events(self) -> int:
        """What to watch the connection for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)

    def ready(self, sock: object, events: int) -> None:
        """Do what can be done now that `sock`, one of the two, is ready. Raises Ended."""
        if sock is self.udp:
            self._from_udp()
        elif events & selectors.EVENT_READ:
            self._from_tls()
        self._write()

    @property
    def _waiting(self) -> bool:
        return bool(self._unsent or self._queue)

    def _from_udp(self) -> None:
        with _as_it_goes():
            for _ in range(TURN_DATAGRAMS):
                self._queue.put(self.udp.recv(MAX_DATAGRAM_BYTES + 1))
                self.taken += 1

    def _write(self) -> None:
        with _as_it_goes():
            while self._waiting:
                self._unsent = self._unsent or self._queue.take(RECORD_BYTES)
                self._unsent = self._unsent[self.tls.send(self._unsent) :]

    def _from_tls(self) -> None:
        """One record. If WireGuard's socket is full, the rest of it is dropped."""
        with _as_it_goes():
            data = self.tls.recv(READ_BYTES)
            if not data:
                raise Ended
            self.received_bytes += len(data)
            for datagram in self._frames.feed(data):
                self.udp.send(datagram)

    def close(self) -> None:
        """Let go of both sockets."""
        self.tls.close()
        self.udp.close()


def loopback() -> socket.socket:
    """A UDP socket with a port of its own there, to be connected to WireGuard's."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    udp.bind((str(LOOPBACK), 0))
    return udp


class _as_it_goes(contextlib.AbstractContextManager[None]):  # noqa: N801  used as a statement
    """What would have to wait ends the block; what can't go on is Ended."""

    @override
    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, BlockingIOError | ssl.SSLWantReadError | ssl.SSLWantWriteError):
            return True
        if isinstance(error, OSError | DecodeError):
            raise Ended from error
        return False
