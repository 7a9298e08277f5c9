"""The gateway's process [door]: a socket, a clock, and the judgement of `gateway`.

One thread, one selector; it wakes for a packet, for the end of a lease, and to compare leases with
interfaces and files. If an interface fails it ends: its interfaces go with it, and no peer outlives
it.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
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
from sdbox_centre.leasereview import SLICE_S
from sdbox_centre.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdbox_centre.gateway import Gateway

RECONCILE_S: Final = 10.0  # between looks at every interface
REVIEW_S: Final = 30.0  # at every lease, though nothing has changed: dates pass
PEEK_S: Final = 0.5  # between looks at the files: what is taken away there is out by then
MAX_CLIENTS: Final = 16
SEND_S: Final = 1.0  # a client that does not read is dropped

_LISTENER: Final = object()
_INTERFACE: Final = object()

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
        self._loop = Loop()
        self._loop.watch(listener, selectors.EVENT_READ, _LISTENER)
        self._clients: dict[socket.socket, int] = {}
        self._peek_s = 0.0  # when files are looked at next
        self._look_s = time.monotonic() + RECONCILE_S
        self._review_s = time.monotonic() + REVIEW_S
        self._stopping = self._reloading = False

    def run(self) -> bool:
        """Serve until `reload` (True: everything is still open) or `stop`.

        Raises OSError if an interface failed.
        """
        while not (self._stopping or self._reloading):
            self._turn()
        self._reloading = False
        return not self._stopping

    def close(self) -> None:
        """Serve nobody any more."""
        for client in tuple(self._clients):
            self._drop(client)
        self._listener.close()
        self._loop.close()

    @property
    def clients(self) -> tuple[socket.socket, ...]:
        """Who is connected."""
        return tuple(self._clients)

    def watch(self, pidfd: int) -> None:
        """End `run` with an OSError when this process, an interface's, is dead."""
        self._loop.watch(pidfd, selectors.EVENT_READ, _INTERFACE)

    def stop(self) -> None:
        """End `run`, from a signal handler or another thread."""
        self._stopping = True
        self._loop.wake()

    def reload(self) -> None:
        """End `run` for the time being; as `stop`."""
        self._reloading = True
        self._loop.wake()

    def _turn(self) -> None:
        until_end_s = self._gateway.expire()
        more = self._gateway.review.go_on()
        timeout_s = self._timeout_s(until_end_s, SLICE_S if more else None)  # as long: half a core
        for owner, sock, _ in self._loop.ready(timeout_s):
            if owner is _INTERFACE:
                raise OSError("an interface died")
            if owner is _LISTENER:
                self._accept()
            elif isinstance(sock, socket.socket) and sock in self._clients:
                self._serve(sock)
        now_s = time.monotonic()
        if now_s >= self._peek_s:
            self._peek_s = now_s + PEEK_S
            self._gateway.review.look()
        if now_s >= self._look_s:
            self._look_s = now_s + RECONCILE_S
            for project in self._projects():
                self._gateway.reconcile(project)
        if now_s >= self._review_s:
            self._review_s = now_s + REVIEW_S
            self._gateway.review.begin()

    def _timeout_s(self, *others: float | None) -> float:
        """How long nothing is to be done, neither here nor elsewhere."""
        until_s = max(0.0, min(self._look_s, self._peek_s, self._review_s) - time.monotonic())
        return min([until_s, *(other for other in others if other is not None)])

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.admit(client)

    def admit(self, client: socket.socket) -> None:
        """Serve this connection, if its uid may ask anything and there is room."""
        uid = peer_uid(client)
        if uid not in self._uids or len(self._clients) >= MAX_CLIENTS:
            log.warning("connection of uid %d refused", uid)
            client.close()
            return
        client.settimeout(SEND_S)
        self._clients[client] = uid
        self._loop.watch(client, selectors.EVENT_READ, None)

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
        self._loop.watch(client, 0, None)
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
        if (
            path.stat().st_gid != gid
        ):  # a unit in that group is refused the call (SystemCallFilter=)
            os.chown(path, -1, gid)
        path.chmod(0o660)
    sock.listen(MAX_CLIENTS)
    return sock
