"""Both ends of a carrier for tests of the tunnel helper, and what a host may put between them.

The box's end is the real process, as its unit starts it; the gateway's is its real server, in a
thread, with a far peer in the gateway's place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Final

from hil.net.helper import UID as TUNNEL_UID
from hil.net.peer import PORT
from hil.net.process import Process, Unit
from hil.net.topology import CARRIER4, CENTRE_SIDE
from sdbox_agent import ipc
from sdbox_agent.errors import Refused
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel.config import CARRIER_UID, parse_endpoint
from sdbox_centre.carrier_server import CarrierServer, Limits, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.issuing import Pair
    from hil.net.namespace import Namespace
    from hil.net.topology import Topology

CARRIER_PORT: Final = 443
CARRIER_AT: Final = f"{CARRIER4}:{CARRIER_PORT}"
NO_UDP: Final = f"""
table inet host {{
  chain in {{
    type filter hook input priority 0;
    iifname "{CENTRE_SIDE}" udp dport != 443 drop
  }}
}}
"""  # what a host's firewall does


@contextlib.contextmanager
def udp_dropped(topology: Topology) -> Iterator[None]:
    """On the centre's side of the cable nothing of UDP arrives."""
    topology.centre.nft(NO_UDP)
    try:
        yield
    finally:
        topology.centre.nft("delete table inet host")


class Carriers:
    """What systemd does for sdbox-carrier.socket, one connection at a time, asked to."""

    def __init__(self, topology: Topology, root: Path) -> None:
        self._topology = topology
        path = self.path = Paths(root).carrier_socket
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._listener.bind(str(path))
        os.chown(path, TUNNEL_UID, TUNNEL_UID)
        path.chmod(0o600)
        self._listener.listen(2)
        self._listener.settimeout(30)
        self.processes: list[Process] = []

    def start(self, uid: int = CARRIER_UID) -> Process:
        """Wait for the helper's connection, and start one."""
        connection, _ = self._listener.accept()
        with connection:
            words = ("-m", "sdbox_agent.workers.carrier", "--tunnel-uid", str(TUNNEL_UID))
            unit = Unit(
                argv=[sys.executable, *words],
                network=self._topology.box,
                uid=uid,
                listen=[connection.fileno()],
                environment={"PATH": "/usr/bin"},
            )
            self.processes.append(Process(unit))
        return self.processes[-1]

    def __enter__(self) -> Carriers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:
            process.end()
        self._listener.close()


class CarrierEnd:
    """The gateway's end on CARRIER4, for one session's token, from `with` to its end."""

    def __init__(
        self,
        topology: Topology,
        files: tuple[Path, Path],
        pair: Pair,
        proxy: str | None = None,
        at: str = CARRIER_AT,
    ) -> None:
        self.offer = self.offered(pair, proxy, at)
        self.taken = 0  # tokens
        endpoint = parse_endpoint(at)
        listener = listening(topology.centre, str(endpoint.address), endpoint.port)
        limits = Limits(connections=4, rate_bytes_s=10**9)
        self._server = CarrierServer(listener, tls_context(*files), self._admit, limits)
        self._thread = threading.Thread(target=topology.centre.run, args=(self._server.run,))

    @staticmethod
    def offered(pair: Pair, proxy: str | None = None, at: str = CARRIER_AT) -> ipc.Carrier:
        """The way there, with a new token."""
        return ipc.Carrier(
            endpoint=at,
            pin=hashlib.sha256(pair.der).digest(),
            token=secrets.token_bytes(32),
            proxy=proxy,
        )

    @property
    def connections(self) -> int:
        """How many are carried now."""
        return self._server.carried

    def _admit(self, token: bytes, _port: int) -> int:
        if token != self.offer.token or self.taken:
            raise Refused("carrier-refused")
        self.taken += 1
        return PORT

    def __enter__(self) -> CarrierEnd:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop()
        self._thread.join()


def listening(namespace: Namespace, address: str, port: int) -> socket.socket:
    """A TCP socket that listens inside."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = namespace.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(8)
    return listener


class Served:
    """One small server inside a namespace: each connection in its turn, from `with` to its end."""

    def __init__(
        self,
        namespace: Namespace,
        where: tuple[str, int],
        serve: Callable[[socket.socket], bytes | None],
    ) -> None:
        self._listener = listening(namespace, *where)
        self._serve = serve
        self.heard: list[bytes] = []  # what was said to it, a connection each
        self._thread = threading.Thread(target=namespace.run, args=(self._run,))

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.settimeout(30)
                    self.heard.append(self._serve(sock) or b"")

    def __enter__(self) -> Served:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def connect_proxy(sock: socket.socket) -> bytes:
    """An HTTP proxy that connects wherever it is asked to; what it was asked."""
    asked = b""
    while not asked.endswith(b"\r\n\r\n"):
        asked += sock.recv(4096)
    host, _, port = asked.split()[1].decode().rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as onward:
        sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 rig\r\n\r\n")
        back = threading.Thread(target=_pour, args=(onward, sock))
        back.start()
        _pour(sock, onward)
        back.join()
    return asked


class TlsOpening:
    """A middlebox that opens TLS: a certificate of its own, and all that is then said to it."""

    def __init__(self, files: tuple[Path, Path]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*files)

    def __call__(self, sock: socket.socket) -> bytes:
        """Shake hands, and hear."""
        said = b""
        with self._context.wrap_socket(sock, server_side=True) as tls:
            while data := tls.recv(4096):
                said += data
        return said


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
