"""The peers of one project's WireGuard interface: the port, and its double.

The double keeps the rules of the real thing (sdbox_centre.wireguard) and passes the same tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Peer:
    """One box for one session."""

    public_key: bytes
    addresses: tuple[str, ...]  # its own inside the tunnel, a /32 or /128 each: nothing else passes


class Peers(Protocol):
    """One interface. Any trouble is an OSError, and then nothing may be assumed of what is up."""

    @property
    def public_key(self) -> bytes:
        """The interface's own."""

    def add(self, peer: Peer, psk: bytearray) -> None:
        """Let the peer in; one with that key is replaced. `psk` is wiped: nobody keeps it."""

    def carry(self, peer: Peer, port: int) -> None:
        """From now on this peer is at that port of the loopback address, and nowhere else.

        Until a packet of its own comes from elsewhere, as WireGuard has it: the box's walls let
        none out, and none in.
        """

    def remove(self, public_key: bytes) -> None:
        """Put the peer out; its packets end at once. Unknown keys are out already."""

    def present(self) -> dict[bytes, frozenset[str]]:
        """The public keys that are in, and the addresses that each may use."""

    def close(self) -> None:
        """Take the interface down, and every peer with it."""


class MemoryPeers:
    """The double."""

    def __init__(self, public_key: bytes = bytes(32)) -> None:
        self._public_key = public_key
        self.peers: dict[bytes, Peer] = {}
        self.psks: dict[bytes, bytes] = {}  # of those and of earlier ones, for a test to see
        self.carried: dict[bytes, int] = {}  # who is at which port
        self.broken = False  # set by a test: the next call fails, as a dead interface does

    @property
    def public_key(self) -> bytes:
        """See Peers."""
        return self._public_key

    def add(self, peer: Peer, psk: bytearray) -> None:
        """See Peers."""
        self._alive()
        for key, other in self.peers.items():  # an address is one peer's: the last one's
            left = tuple(each for each in other.addresses if each not in peer.addresses)
            self.peers[key] = Peer(key, left)
        self.peers[peer.public_key], self.psks[peer.public_key] = peer, bytes(psk)
        psk[:] = bytes(len(psk))

    def carry(self, peer: Peer, port: int) -> None:
        """See Peers."""
        self._alive()
        self.carried[peer.public_key] = port

    def remove(self, public_key: bytes) -> None:
        """See Peers."""
        self._alive()
        self.carried.pop(public_key, None)
        self.peers.pop(public_key, None)

    def present(self) -> dict[bytes, frozenset[str]]:
        """See Peers."""
        self._alive()
        return {key: frozenset(peer.addresses) for key, peer in self.peers.items()}

    def close(self) -> None:
        """See Peers."""
        self.peers.clear()
        self.broken = True

    def _alive(self) -> None:
        if self.broken:
            raise OSError("the interface is gone")
