"""[door] Somebody else's TLS server in the centre's place: a rogue, or a proxy that opens TLS.

To a box they look the same until the handshake is over; what is heard after that, is kept.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hil.issuing import Pair
    from hil.net.namespace import Namespace

_LOOK_S: Final = 0.1
_PATIENCE_S: Final = 5.0  # with one client


class Rogue:
    """Listens until left. One client at a time."""

    def __init__(
        self,
        namespace: Namespace,
        place: tuple[str, int],
        pair: Pair,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.maximum_version = newest
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "server.pem"
            path.write_bytes(pair.key_pem + pair.pem)
            self._context.load_cert_chain(path)
        self._listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(place)
        self._listener.listen()
        self._listener.settimeout(_LOOK_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="rogue", daemon=True)
        self.clients = 0
        self.handshakes = 0
        self.heard = b""  # of what was meant for the centre alone

    def __enter__(self) -> Rogue:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):  # nobody came, or one who left
                client, _ = self._listener.accept()
                self.clients += 1
                with client:
                    self._listen_to(client)

    def _listen_to(self, client: socket.socket) -> None:
        client.settimeout(_PATIENCE_S)
        with self._context.wrap_socket(client, server_side=True) as opened:
            # TLS 1.3: a server is done before its client has judged it; only what follows tells.
            if first := opened.recv(65536):
                self.handshakes += 1
                self.heard += first
