"""Real servers on an address of one's own: TLS, HTTP for everything, NTP, a proxy, a UDP end."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

NTP_EPOCH_S = 2_208_988_800


@contextlib.contextmanager
def tcp(address: str, port: int, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Each connection is served in turn, in a thread; the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family)

    def run() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.settimeout(5)
                serve(sock)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@contextlib.contextmanager
def udp(
    address: str, port: int, answer: Callable[[bytes], bytes | None], heard: list[bytes]
) -> Iterator[int]:
    """Each datagram is heard, and answered unless with None; the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, port))
    sock.settimeout(0.1)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                data, sender = sock.recvfrom(2048)
                heard.append(data)
                if (said := answer(data)) is not None:
                    sock.sendto(said, sender)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        stop.set()
        thread.join(10)
        sock.close()


def tls(pem: Path, *, old: bool = False) -> Callable[[socket.socket], None]:
    """A TLS server with that certificate and key; `old`: not beyond TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if old:
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as talk:
            talk.recv(100)

    return serve


def says(answer: bytes) -> Callable[[socket.socket], None]:
    """Whatever is asked, this is answered: what a portal does, or a proxy that refuses."""

    def serve(sock: socket.socket) -> None:
        sock.recv(2048)
        sock.sendall(answer)

    return serve


def ntp(now: Callable[[], float], *, off_s: float = 0.0) -> Callable[[bytes], bytes | None]:
    """A time server whose clock is off by so much."""

    def answer(data: bytes) -> bytes | None:
        stamp = int((now() + off_s + NTP_EPOCH_S) * 2**32).to_bytes(8, "big")
        return b"\x24\x02" + bytes(22) + data[40:48] + stamp + stamp

    return answer
