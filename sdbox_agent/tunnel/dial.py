"""[door] From the box to the gateway's end of a carrier: TCP, perhaps a proxy, TLS, pin, token.

The gateway's certificate is known by its hash alone: no chain, name or date is looked at, and no
byte of ours passes before it is recognised. Addresses only: no name is ever asked for. One deadline
over all of it, and whoever asked may hang up at any moment.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, Final, TypeVar

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.tunnel import connect, frames
from sdbox_agent.tunnel.carriage import DIAL_S, Inspected
from sdbox_agent.tunnel.presented import issuer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.tunnel.carriage import Way
    from sdbox_agent.tunnel.config import Endpoint

_OTHER_TLS: Final = frozenset(  # OpenSSL: who answers speaks TLS, and not the gateway's 1.3
    {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE"}
)

Result = TypeVar("Result")


class HungUp(Exception):  # noqa: N818  a state, told as an exception
    """Nobody waits for this connection any more."""


def dial(way: Way, hangup: socket.socket, within_s: float = DIAL_S) -> ssl.SSLSocket:
    """A connection that the gateway has admitted, not blocking.

    Raises Fault (carrier-unreachable, proxy-unreachable, proxy-authentication, proxy-refused,
    proxy-answer-invalid), Refused (carrier-refused), Inspected, and HungUp as soon as `hangup` is
    readable.
    """
    line = _Line(hangup, time.monotonic() + within_s)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(_tcp(way, line))
        try:
            tls = stack.enter_context(_secure(plain, line))
            _recognise(tls, way.pin)
            _greet(tls, way.token, line)
        except OSError as error:  # deadline and TLS's errors included
            raise Fault("carrier-unreachable") from error
        stack.pop_all()  # `plain` has no descriptor any more
    return tls


class _Line:
    """Waiting for one socket, with one eye on the clock and the other on who asked."""

    def __init__(self, hangup: socket.socket, ends_s: float) -> None:
        self._hangup = hangup
        self._ends_s = ends_s

    def wait(self, sock: socket.socket, event: int) -> None:
        """Until `sock` is ready. Raises TimeoutError, HungUp."""
        poll = select.poll()
        poll.register(self._hangup, select.POLLIN)
        poll.register(sock, event)
        ready = poll.poll(max(self._ends_s - time.monotonic(), 0) * 1000)
        if any(descriptor == self._hangup.fileno() for descriptor, _ in ready):
            raise HungUp
        if not ready:
            raise TimeoutError

    def when_ready(self, sock: socket.socket, act: Callable[[], Result]) -> Result:
        """What `act` gives once it need not wait."""
        while True:
            try:
                return act()
            except (BlockingIOError, ssl.SSLWantReadError):
                self.wait(sock, select.POLLIN)
            except ssl.SSLWantWriteError:
                self.wait(sock, select.POLLOUT)


def _tcp(way: Way, line: _Line) -> socket.socket:
    """The first hop, and through a proxy the second."""
    sock = socket.socket(_family(way.first), socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _connect(sock, way.first, line)
        if way.proxy is not None:
            _through(sock, way.gateway, line)
    except OSError as error:
        sock.close()
        code = "carrier-unreachable" if way.proxy is None else "proxy-unreachable"
        raise Fault(code) from error
    except BaseException:
        sock.close()
        raise
    return sock


def _family(endpoint: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6


def _connect(sock: socket.socket, endpoint: Endpoint, line: _Line) -> None:
    sock.settimeout(0)
    error = sock.connect_ex((str(endpoint.address), endpoint.port))
    if error == errno.EINPROGRESS:
        line.wait(sock, select.POLLOUT)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _through(sock: socket.socket, gateway: Endpoint, line: _Line) -> None:
    """Have the proxy connect to the gateway. Raises Fault, OSError."""
    sock.sendall(connect.request(gateway))  # a new socket has room for it
    answer = b""
    try:
        while not connect.whole(answer):
            received = line.when_ready(sock, lambda: sock.recv(connect.MAX_HEAD_BYTES))
            if not received:
                break  # cut short: no answer
            answer += received
        connect.check(answer)
    except DecodeError as error:
        raise Fault("proxy-answer-invalid") from error


def _secure(plain: socket.socket, line: _Line) -> ssl.SSLSocket:
    """TLS over it, with whoever that is. Raises Inspected, OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # see _recognise
    tls = context.wrap_socket(plain, do_handshake_on_connect=False)
    try:
        line.when_ready(tls, tls.do_handshake)
    except BaseException as error:
        tls.close()
        if isinstance(error, ssl.SSLError) and error.reason in _OTHER_TLS:
            raise Inspected("") from error
        raise
    return tls


def _recognise(tls: ssl.SSLSocket, pin: bytes) -> None:
    """Is this the gateway's certificate, byte for byte? Its key signed the handshake."""
    shown = tls.getpeercert(binary_form=True) or b""
    if hashlib.sha256(shown).digest() != pin:
        raise Inspected(issuer(shown))


def _greet(tls: ssl.SSLSocket, token: bytes, line: _Line) -> None:
    """Give the token. Raises Refused (carrier-refused) if it is not taken, OSError."""
    line.when_ready(tls, lambda: tls.send(frames.greeting(token)))
    answer = b""
    while len(answer) < len(frames.WELCOME):
        wanted = len(frames.WELCOME) - len(answer)
        received = line.when_ready(tls, lambda most=wanted: tls.recv(most))  # type: ignore[misc]
        if not received:
            break
        answer += received
    if answer != frames.WELCOME:
        raise Refused("carrier-refused")
