"""Sockets with one deadline over everything done on them, that another thread may cut [door].

httpcore's timeouts are per read and per write; a server that drips would never meet one. Here each
operation gets what is left of the whole.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import httpcore
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

READ_MAX_BYTES: Final = 64 * 1024


class TooLate(Exception):  # noqa: N818  names of states
    """The deadline has passed."""


class Aborted(Exception):  # noqa: N818
    """Another thread cut the connection."""


class Sockets(httpcore.NetworkBackend):
    """Connects to fixed addresses only; knows the one connection there is."""

    def __init__(self, addresses: tuple[tuple[str, int], ...], connect_s: float) -> None:
        self._addresses = addresses
        self._connect_s = connect_s
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._aborted = False
        self._running = False
        self._ends_s = float("-inf")
        self.bytes_read = 0  # since the deadline was set

    @property
    def has_connection(self) -> bool:
        """Is one kept from an earlier call?"""
        return self._sock is not None

    @contextlib.contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Everything inside must be done by then. Raises TooLate, Aborted."""
        self._ends_s = time.monotonic() + seconds
        self.bytes_read = 0
        self._running = True
        done = False
        try:
            self.left_s()
            yield
            done = True
        finally:
            with self._lock:
                self._running = False
                if self._aborted or not done:
                    self._close()

    def more(self, seconds: float) -> None:
        """Inside a deadline: what is under way may take that long from now."""
        self._ends_s = time.monotonic() + seconds

    def left_s(self) -> float:
        """What remains. Raises TooLate, Aborted."""
        if self._aborted:
            raise Aborted
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise TooLate
        return left_s

    def abort(self) -> None:
        """End whatever runs, now and for good. From any thread."""
        with self._lock:
            self._aborted = True
            if self._running:
                self._shut()  # its thread wakes, and closes
            else:
                self._close()

    def drop(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            self._close()

    def hold(self, sock: socket.socket) -> None:
        """From now on this is the connection. Raises Aborted."""
        with self._lock:
            self._sock = sock
            if self._aborted:
                self._shut()
                raise Aborted

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _shut(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(
                    self._sock, socket.SHUT_RDWR
                )  # wakes a read; no close-notify

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers, whatever host and port say."""
        last: OSError = ConnectionRefusedError()
        ends_s = time.monotonic() + min(self._connect_s, self.left_s())
        for address in self._addresses:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                break
            try:
                return _Stream(self, self._connect(address, left_s))
            except OSError as error:
                last = error
            self.left_s()
        raise last

    def _connect(self, address: tuple[str, int], timeout_s: float) -> socket.socket:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self.hold(sock)
            sock.settimeout(timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
        except BaseException:
            self.drop()
            raise
        return sock


class _Stream(httpcore.NetworkStream):
    def __init__(self, sockets: Sockets, sock: socket.socket) -> None:
        self._sockets = sockets
        self._sock = sock

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._timed():
            data = self._sock.recv(min(max_bytes, READ_MAX_BYTES))
        self._sockets.bytes_read += len(data)
        return data

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._timed():
            try:
                self._sock.sendall(buffer)
            except (ConnectionError, ssl.SSLEOFError):
                self._sock.recv(1)  # it closed on us: perhaps it said why, in a TLS alert
                raise

    @override
    def close(self) -> None:
        self._sockets.drop()

    @override
    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        with self._timed():
            wrapped = ssl_context.wrap_socket(
                self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._sockets.hold(wrapped)
            wrapped.settimeout(self._sockets.left_s())
            wrapped.do_handshake()
        return _Stream(self._sockets, wrapped)

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # of an idle connection: the other end has closed it
            if self._sock.fileno() < 0:
                return True
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            return bool(poll.poll(0))
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock
        return self._sock if info == "socket" else None

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """One operation: what is left of the deadline, and why it failed if it did."""
        self._sock.settimeout(self._sockets.left_s())
        try:
            yield
        except TimeoutError:
            raise TooLate from None
        except OSError:
            self._sockets.left_s()  # cut by us? then that is the reason
            raise
