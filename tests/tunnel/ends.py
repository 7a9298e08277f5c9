"""The far end of a carrier, and what stands in its way: small servers on the loopback address."""

import contextlib
import functools
import hashlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hil.issuing import Issuing, Pair
from sdbox_agent import ipc
from sdbox_agent.tunnel import frames
from tests.waiting import until

TOKEN = b"t" * 32
Serve = Callable[[socket.socket], None]


@functools.cache
def issuing() -> Issuing:
    return Issuing()


@functools.cache
def gateway() -> Pair:
    return issuing().server("127.0.0.1")


@functools.cache
def other() -> Pair:
    """Somebody else's, of whom nobody asked anything."""
    return issuing().server("127.0.0.1")


def pin(pair: Pair) -> bytes:
    return hashlib.sha256(pair.der).digest()


def carrier(port: int, proxy: int | None = None) -> ipc.Carrier:
    return ipc.Carrier(
        endpoint=f"127.0.0.1:{port}",
        pin=pin(gateway()),
        token=TOKEN,
        proxy=None if proxy is None else f"127.0.0.1:{proxy}",
    )


@contextlib.contextmanager
def files(pair: Pair) -> Iterator[tuple[Path, Path]]:
    """Certificate and key, for those who read files."""
    with tempfile.TemporaryDirectory() as made:
        certificate, key = Path(made) / "certificate.pem", Path(made) / "key.pem"
        certificate.write_bytes(pair.pem)
        key.write_bytes(pair.key_pem)
        yield certificate, key


def tls_context(pair: Pair, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A server's that is less strict than the gateway's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.num_tickets = 0
    with files(pair) as (certificate, key):
        context.load_cert_chain(certificate, key)
    return context


@dataclass
class Server:
    port: int
    seen: list[bytes]  # what was said to it, a connection each


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], bytes | None]) -> Iterator[Server]:
    """Every connection, one after the other, until the end; what `serve` returns was said to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Server(listener.getsockname()[1], [])

        def run() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock, contextlib.suppress(OSError):
                    one.seen.append(serve(sock) or b"")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield one
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive()


def over_tls(pair: Pair, then: Callable[[ssl.SSLSocket], bytes | None], **context: object) -> Serve:
    """Shakes hands, then does what is asked; what came in clear is what `then` gives."""
    made = tls_context(pair, **context)  # type: ignore[arg-type]

    def serve(sock: socket.socket) -> bytes | None:
        sock.settimeout(10)
        with made.wrap_socket(sock, server_side=True) as tls:
            return then(tls)

    return serve  # type: ignore[return-value]


def everything(tls: socket.socket) -> bytes:
    """All that is said until the other end leaves."""
    said = b""
    with contextlib.suppress(OSError):
        while data := tls.recv(4096):
            said += data
    return said


def welcoming(tls: ssl.SSLSocket) -> bytes:
    """As the gateway's end does, once."""
    said = b""
    while len(said) < frames.GREETING_BYTES:
        data = tls.recv(frames.GREETING_BYTES - len(said))
        if not data:
            return said
        said += data
    tls.send(frames.WELCOME)
    return said + everything(tls)


def proxy(answer: bytes | None = None) -> Serve:
    """An HTTP proxy: connects, or gives that answer and says no more."""

    def serve(sock: socket.socket) -> bytes:
        sock.settimeout(10)
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            data = sock.recv(4096)
            if not data:
                return asked
            asked += data
        if answer is not None:
            sock.sendall(answer)
            return asked + everything(sock)
        port = int(asked.split()[1].rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port)) as onward:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
            back = threading.Thread(target=pour, args=(onward, sock), daemon=True)
            back.start()
            pour(sock, onward)
            back.join(10)
        return asked

    return serve  # type: ignore[return-value]


def pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def free_port() -> int:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def pair_of_ends() -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """A TLS connection's two ends, one thread."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    for sock in (one, other):
        sock.settimeout(0)
    near = client_context.wrap_socket(one, do_handshake_on_connect=False)
    server = tls_context(gateway())
    far = server.wrap_socket(other, server_side=True, do_handshake_on_connect=False)
    waiting = [near, far]

    def shaken() -> bool:
        for sock in tuple(waiting):
            with contextlib.suppress(ssl.SSLWantReadError):
                sock.do_handshake()
                waiting.remove(sock)
        return not waiting

    until(shaken)
    return near, far
