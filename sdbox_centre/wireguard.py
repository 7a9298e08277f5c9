"""A project's WireGuard interface [door]: wireguard-go, in the VM's namespace where it has one.

The key pair is made here at each start and told to nobody but wireguard-go; boxes learn the public
half with their lease. The interface dies with this process, and every peer with it; a program that
takes this one's place in the same process finds both as they were.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.hardening import wipe
from sdbox_agent.tunnel import rtnetlink
from sdbox_agent.tunnel.config import LOOPBACK, Endpoint
from sdbox_agent.tunnel.kernel import Links
from sdbox_agent.tunnel.link import WireGuardGo, move
from sdbox_agent.tunnel.uapi import PeerConfig
from sdbox_centre.book import pools
from sdbox_centre.handover import KeptInterface

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from sdbox_centre.book import ProjectFile
    from sdbox_centre.peers import Peer

REPLY_MAX_BYTES: Final = 512 * 1024  # uapi.MAX_PEERS of them


@dataclass(frozen=True, slots=True)
class Place:
    """The namespace of a VM: a netlink socket opened inside it, and its file."""

    links: Links
    namespace: Path


class WireGuardPeers:
    """See peers.Peers. Make it on the main thread: the child's death signal follows its parent."""

    def __init__(self, wireguard: WireGuardGo, public_key: bytes, port: int) -> None:
        """Of an interface that runs: see `start` and `inherit`."""
        self._wireguard = wireguard
        self._public_key = public_key
        self._port = port

    @classmethod
    def start(cls, settings: ProjectFile, directory: Path, place: Place | None) -> Self:
        """Start the interface. `directory`: where wireguard-go's control sockets lie."""
        key = bytearray(secrets.token_bytes(32))
        public_key = X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
        wireguard, port = _wireguard(settings.interface, directory), _port(settings)
        try:
            wireguard.start()
            wireguard.configure(key, listen_port=port)
            _plumb(settings, place)
        except (Fault, DecodeError, ValueError) as error:
            wireguard.stop()
            raise OSError("the interface did not come up") from error
        except OSError:
            wireguard.stop()
            raise
        return cls(wireguard, public_key, port)

    @classmethod
    def inherit(cls, kept: KeptInterface, directory: Path) -> Self:
        """The interface of the program before us in this process. Raises OSError."""
        wireguard = _wireguard(kept.name, directory)
        wireguard.inherit(kept.pid, socket.socket(fileno=kept.control))
        return cls(wireguard, kept.public_key, kept.port)

    def kept(self, project: str) -> KeptInterface:
        """What `inherit` needs. Raises OSError if there is no interface any more."""
        if self._wireguard.pid is None:
            raise OSError("the interface is gone")
        return KeptInterface(
            project=project,
            name=self._wireguard.name,
            port=self._port,
            public_key=self._public_key,
            pid=self._wireguard.pid,
            control=self._wireguard.control.fileno(),
        )

    def serves(self, settings: ProjectFile) -> bool:
        """Is this the interface that the project's file asks for?"""
        return (self._wireguard.name, self._port) == (settings.interface, _port(settings))

    @property
    def public_key(self) -> bytes:
        """See Peers."""
        return self._public_key

    @property
    def pidfd(self) -> int:
        """Readable when the interface has died. Raises OSError if it has none."""
        if self._wireguard.pidfd is None:
            raise OSError("the interface is gone")
        return self._wireguard.pidfd

    def add(self, peer: Peer, psk: bytearray) -> None:
        """See Peers."""
        allowed = tuple(ip_network(address) for address in peer.addresses)
        config = PeerConfig(peer.public_key, allowed, psk)
        try:
            self._wireguard.set_peers([config], replace=False)
        except (Fault, DecodeError) as error:
            raise OSError("the peer was not added") from error
        finally:
            wipe(psk)

    def carry(self, peer: Peer, port: int) -> None:
        """See Peers."""
        try:
            self._wireguard.move_endpoint(peer.public_key, Endpoint(LOOPBACK, port))
        except (Fault, DecodeError) as error:
            raise OSError("the peer was not moved") from error

    def remove(self, public_key: bytes) -> None:
        """See Peers."""
        try:
            self._wireguard.remove_peer(public_key)
        except (Fault, DecodeError) as error:
            raise OSError("the peer was not removed") from error

    def present(self) -> dict[bytes, frozenset[str]]:
        """See Peers."""
        try:
            peers = self._wireguard.peers()
            return {peer.public_key: frozenset(map(str, peer.allowed_ips)) for peer in peers}
        except (Fault, DecodeError) as error:
            raise OSError("the interface does not answer") from error

    def close(self) -> None:
        """See Peers."""
        self._wireguard.stop()


def _wireguard(name: str, directory: Path) -> WireGuardGo:
    return WireGuardGo(name, directory, reply_max_bytes=REPLY_MAX_BYTES)


def _port(settings: ProjectFile) -> int:
    return int(settings.endpoint.rpartition(":")[2])


def _plumb(settings: ProjectFile, place: Place | None) -> None:
    """Bring the interface up, with the VM's addresses, in its namespace."""
    here = Links.here()
    try:
        if place is None:
            there, index = here, here.index(settings.interface)
        else:
            there = place.links
            namespace = os.open(place.namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                index = move(settings.interface, here, there, namespace)
            finally:
                os.close(namespace)
        if index is None:
            raise OSError("the interface is not there")
        own = [ip_interface(f"{pool[1]}/{pool.prefixlen}") for pool in pools(settings)]
        there.run(
            [*(rtnetlink.add_address(index, each) for each in own), rtnetlink.raise_up(index)]
        )
    finally:
        here.close()


def named_descriptors() -> dict[str, socket.socket]:
    """Sockets the service manager passed us, by name (sd_listen_fds_with_names(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(3, 3 + count)]
    for sock in sockets:
        sock.set_inheritable(False)
    return dict(zip(names, sockets, strict=False))
