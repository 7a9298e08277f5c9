"""[door] A listening socket and the peers that came in by it, a few at a time, all of one uid.

Knows no message: what a peer says is heard by a function it is given. A peer that breaks the rules,
or is gone, is dropped; nobody else is disturbed.
"""

from __future__ import annotations

import selectors
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PEERS: Final = 4  # connections at once: one is used, the rest is patience (fault 96)
_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred, unix(7)


class Peer(Protocol):
    """One connection."""

    def fileno(self) -> int:
        """The descriptor, for a selector."""

    def close(self) -> None:
        """Let go."""


P = TypeVar("P", bound=Peer)


class Door(Generic[P]):
    """`make` turns a connection into a peer, `hear` takes one frame from it.

    `hear` may raise BlockingIOError (nothing there), DecodeError or OSError: then it is dropped.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        sock: socket.socket,
        uid: int,
        make: Callable[[socket.socket], P],
        hear: Callable[[P], None],
    ) -> None:
        self._selector = selector
        self._sock = sock
        self._uid = uid
        self._make = make
        self._hear = hear
        self.peers: set[P] = set()
        sock.settimeout(0)
        selector.register(sock, selectors.EVENT_READ, self._comes)

    def tell(self, peer: P, say: Callable[[], None]) -> None:
        """Have `say` send something to that peer, if it is still there."""
        if peer not in self.peers:
            return
        try:
            say()
        except OSError:
            self._drop(peer)

    def close(self) -> None:
        """Drop everybody; the listening socket is the service manager's."""
        for peer in list(self.peers):
            self._drop(peer)

    def _comes(self) -> None:
        sock = accept(self._sock, self._uid)
        if sock is None:
            return
        if len(self.peers) == MAX_PEERS:
            sock.close()
            return
        peer = self._make(sock)
        self.peers.add(peer)
        self._selector.register(peer, selectors.EVENT_READ, partial(self._speaks, peer))

    def _speaks(self, peer: P) -> None:
        if peer not in self.peers:
            return
        try:
            self._hear(peer)
        except BlockingIOError:
            return
        except (DecodeError, OSError):
            self._drop(peer)

    def _drop(self, peer: P) -> None:
        self.peers.discard(peer)
        self._selector.unregister(peer)
        peer.close()


def accept(door: socket.socket, uid: int) -> socket.socket | None:
    """Whoever is at the door, if it is `uid` (SO_PEERCRED); anybody else is shut out unheard."""
    try:
        sock, _ = door.accept()
    except OSError:  # gone again, or no descriptor left
        return None
    sock.settimeout(0)
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(raw)[1] != uid:
        sock.close()
        return None
    return sock
