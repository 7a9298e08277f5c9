"""[door] One box's tunnel put together and taken apart: key, interface, addresses, routes, walls.

Knows the order that leaks nothing. Does not know time, leases, the VM's answer or the core.
"""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typing_extensions import override

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import nfset, rtnetlink
from sdbox_agent.tunnel.config import FWMARK, INTERFACE, KEEPALIVE_S, KEY_BYTES
from sdbox_agent.tunnel.link import Links, Walls, WireGuardGo, move, wipe
from sdbox_agent.tunnel.uapi import PeerConfig

if TYPE_CHECKING:
    from sdbox_agent.tunnel.config import Tunnel

_EVERYWHERE: Final = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


class Plumbing:
    """At most one tunnel. Every failure is a Fault; the caller then closes."""

    def __init__(self, directory: Path, there: Links, namespace: int) -> None:
        """`there` and `namespace`: the session namespace, as netlink socket and as descriptor."""
        self._here = Links.here()
        self._there = there
        self._namespace = namespace
        self._walls = Walls.here()
        self._wireguard = WireGuardGo(INTERFACE, directory)
        self._key = bytearray()
        self._index = 0

    @property
    def pidfd(self) -> int | None:
        """Readable when wireguard-go has died; None while none runs."""
        return self._wireguard.pidfd

    def make_key(self) -> bytes:
        """Make the session's key pair; its public half. The private one lies in one bytearray."""
        self._key = bytearray(KEY_BYTES)
        with Path("/dev/urandom").open("rb", buffering=0) as source:
            source.readinto(self._key)
        return X25519PrivateKey.from_private_bytes(self._key).public_key().public_bytes_raw()

    def start(self) -> None:
        """Start wireguard-go with that key and move its interface over; nothing passes yet."""
        with _faults():
            self._wireguard.start()
            self._wireguard.configure(self._key, FWMARK)
            self._index = move(INTERFACE, self._here, self._there, self._namespace)

    def open(self, tunnel: Tunnel) -> None:
        """Walls, then addresses and routes, then the peer: the first handshake finds all ready."""
        with _faults():
            if {link.name for link in self._there.all()} != {"lo", INTERFACE}:
                raise Fault("tunnel-fault")  # another way out of the session namespace
            _check_route(tunnel)
            self._walls.batch(nfset.allow(tunnel.endpoint))
            versions = [address.version for address in tunnel.addresses]
            self._there.run(
                [
                    rtnetlink.be_quiet(self._index),
                    rtnetlink.raise_up(self._index),
                    *(rtnetlink.add_address(self._index, each) for each in tunnel.addresses),
                    *(rtnetlink.default_route(self._index, version) for version in versions),
                ]
            )
            allowed = tuple(_EVERYWHERE[version] for version in versions)
            peer = PeerConfig(tunnel.peer, allowed, tunnel.psk, tunnel.endpoint, KEEPALIVE_S)
            self._wireguard.set_peers([peer], replace=True)

    def handshake_done(self) -> bool:
        """Has this interface, made for this session, ever had a handshake?"""
        with _faults():
            return any(peer.handshake_ns for peer in self._wireguard.peers())

    def close(self) -> None:
        """Peers, process and interface, walls, key. Raises Fault if something is still there."""
        self._wireguard.stop()
        wipe(self._key)
        self._key = bytearray()
        troubles: list[Exception] = []
        for undo in (self._shut_walls, self._delete_interface):  # the second whatever the first did
            try:
                undo()
            except (OSError, DecodeError) as error:
                troubles.append(error)
        if troubles:
            raise Fault("tunnel-not-down") from troubles[0]

    def _shut_walls(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # no walls: nobody was let through them
            self._walls.batch(nfset.clear())

    def _delete_interface(self) -> None:
        for links in (self._there, self._here):
            if index := links.index(INTERFACE):  # not ours: it would have died with the process
                links.run([rtnetlink.delete(index)])


class _faults(contextlib.AbstractContextManager[None]):  # noqa: N801  used as a statement
    """What the kernel or wireguard-go refuses is a Fault."""

    @override
    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, DecodeError)):
            raise Fault("tunnel-fault") from error


def _check_route(tunnel: Tunnel) -> None:
    """Raises Fault if the box has no way to the endpoint. Nothing is sent."""
    family = socket.AF_INET if tunnel.endpoint.address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, FWMARK)  # as wireguard-go's own
        try:
            sock.connect((str(tunnel.endpoint.address), tunnel.endpoint.port))
        except OSError as error:
            raise Fault("no-route") from error
