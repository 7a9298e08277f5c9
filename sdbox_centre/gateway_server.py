"""The gateway's process [door]: a socket, a clock, and the judgement of `gateway`.

One thread, one selector; it wakes for a packet, for the end of a lease, and to compare interfaces
with leases. If an interface fails it ends: its interfaces go with it, and no peer outlives it.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_centre.gateway_wire import (
    MAX_PACKET_BYTES,
    Act,
    Admit,
    Install,
    No,
    Remove,
    Renewal,
    decode_request,
    encode,
    peer_uid,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdbox_centre.gateway import Gateway

RECONCILE_S: Final = 10.0
MAX_CLIENTS: Final = 16
SEND_S: Final = 1.0  # a client that does not read is dropped

log = logging.getLogger("sdbox.gateway")


class GatewayServer:
    """Serves one listening socket until `stop`."""

    def __init__(
        self,
        gateway: Gateway,
        listener: socket.socket,
        uids: dict[int, tuple[type, ...]],
        projects: Callable[[], tuple[str, ...]],
    ) -> None:
        self._gateway = gateway
        self._listener = listener
        self._uids = uids
        self._projects = projects
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._clients: dict[socket.socket, int] = {}
        self._next_look_s = time.monotonic() + RECONCILE_S
        self._stopping = False

    def run(self) -> None:
        """Serve. Raises OSError if an interface failed."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        try:
            while not self._stopping:
                self._turn()
        finally:
            for client in tuple(self._clients):
                self._drop(client)
            for sock in (self._listener, self._wake, self._woken):
                sock.close()
            self._selector.close()

    def watch(self, pidfd: int) -> None:
        """End `run` with an OSError when this process, an interface's, is dead."""
        self._selector.register(pidfd, selectors.EVENT_READ, "interface")

    def stop(self) -> None:
        """End `run`, from a signal handler or another thread."""
        self._stopping = True
        with suppress(OSError):
            self._wake.send(b"x")

    def _turn(self) -> None:
        until_end_s = self._gateway.expire()
        timeout_s = max(0.0, self._next_look_s - time.monotonic())
        if until_end_s is not None:
            timeout_s = min(timeout_s, until_end_s)
        for key, _ in self._selector.select(timeout_s):
            if key.data == "interface":
                raise OSError("an interface died")
            sock = key.fileobj
            if sock is self._listener:
                self._accept()
            elif isinstance(sock, socket.socket) and sock in self._clients:
                self._serve(sock)
        if time.monotonic() >= self._next_look_s:
            self._next_look_s = time.monotonic() + RECONCILE_S
            for project in self._projects():
                self._gateway.reconcile(project)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        uid = peer_uid(client)
        if uid not in self._uids or len(self._clients) >= MAX_CLIENTS:
            log.warning("connection of uid %d refused", uid)
            client.close()
            return
        client.settimeout(SEND_S)
        self._clients[client] = uid
        self._selector.register(client, selectors.EVENT_READ)

    def _serve(self, client: socket.socket) -> None:
        try:
            packet = client.recv(MAX_PACKET_BYTES + 1)
            if not packet or len(packet) > MAX_PACKET_BYTES:
                raise ConnectionResetError
            request = decode_request(packet)
        except (OSError, DecodeError):
            self._drop(client)
            return
        if not isinstance(request, self._uids[self._clients[client]]):
            log.warning("request of uid %d refused", self._clients[client])
            self._drop(client)
            return
        try:
            answer = encode(self._gateway.answer(request))
        except SdboxError as error:
            log.info("refused: %s", error.code)
            answer = encode(No(code=error.code))
        try:
            client.send(answer)
        except OSError:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._clients[client]
        client.close()


def may(
    api_uid: int, staff_uid: int, carrier_uid: int | None = None
) -> dict[int, tuple[type, ...]]:
    """Who may ask what: staff's tool hands over acts and takes away, carriers redeem tokens."""
    allowed: dict[int, tuple[type, ...]] = {staff_uid: (Act, Remove)}
    if carrier_uid is not None:
        allowed[carrier_uid] = (Admit,)
    allowed[api_uid] = (Install, Renewal, Act, Remove)
    return allowed


def listen(path: Path, gid: int = -1) -> socket.socket:
    """The listening socket: for the group `gid` (the API's), or for its owner alone."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    path.unlink(missing_ok=True)
    old = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(old)
    if gid >= 0:
        os.chown(path, -1, gid)
        path.chmod(0o660)
    sock.listen(MAX_CLIENTS)
    return sock
