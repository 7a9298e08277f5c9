"""[door] One box's tunnel put together and taken apart: keys, interface, addresses, routes, walls.

Knows the order that leaks nothing. Does not know time, leases, the VM's answer or the core.
"""

from __future__ import annotations

import contextlib
import time
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typing_extensions import override

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.hardening import overwrite_freed, wipe
from sdbox_agent.tunnel import conntrack, inkernel, lifeline, mtu, nfset, path, psk, rtnetlink
from sdbox_agent.tunnel.config import (
    FWMARK,
    INTERFACE,
    KEEPALIVE_S,
    KEY_BYTES,
    LOOPBACK,
    check_place,
)
from sdbox_agent.tunnel.kernel import Links, Sets
from sdbox_agent.tunnel.link import WireGuardGo, move
from sdbox_agent.tunnel.nfset import Protocol
from sdbox_agent.tunnel.uapi import PeerConfig

if TYPE_CHECKING:
    import socket

    from sdbox_agent.tunnel.config import Endpoint, Tunnel
    from sdbox_agent.tunnel.wireguard import WireGuard

_EVERYWHERE: Final = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


class Plumbing:
    """At most one tunnel. Every failure is a Fault; the caller then closes."""

    def __init__(
        self,
        directory: Path,
        there: Links,
        namespace: int,
        generic: socket.socket | None = None,
    ) -> None:
        """`there` and `namespace`: the session namespace, as netlink socket and as descriptor.

        `generic`: a generic netlink socket of it; without, the kernel's WireGuard is not used.
        """
        self._here = Links.here()
        self._there = there
        self._namespace = namespace
        self._walls = Sets.here()
        self._kernel = generic and inkernel.of_this_kernel(INTERFACE, there, namespace, generic)
        self._userspace = WireGuardGo(INTERFACE, directory)
        self._wireguard: WireGuard = self._userspace
        self._key = bytearray()
        self._public_key = b""
        self._kem: psk.KemPair | None = None
        self._agreed: tuple[psk.Offer, psk.Bound] | None = None  # with it: the preshared key
        self._index = 0

    @property
    def pidfd(self) -> int | None:
        """Readable when WireGuard has died by itself; None where it can't."""
        return self._wireguard.pidfd

    @property
    def started(self) -> bool:
        """Is there an interface?"""
        return self._wireguard.running

    def make_keys(self) -> tuple[bytes, bytes]:
        """Make the session's key pairs; the public halves, WireGuard's and ML-KEM's.

        WireGuard's private one lies in one bytearray.
        """
        self._key = bytearray(KEY_BYTES)
        with Path("/dev/urandom").open("rb", buffering=0) as source:
            source.readinto(self._key)
        private = X25519PrivateKey.from_private_bytes(self._key)
        self._public_key = private.public_key().public_bytes_raw()
        self._kem = psk.KemPair()
        return self._public_key, self._kem.public

    @property
    def keyed(self) -> bool:
        """Are there keys?"""
        return self._kem is not None

    def start(self, *, userspace: bool = False) -> None:
        """Start WireGuard and have its interface over there; wireguard-go takes 45 ms for that.

        The kernel's, if it has one and not `userspace` is asked for. The interface is set down, and
        has no key, no peer and no address: nothing passes.
        """
        self._wireguard = self._userspace if userspace or not self._kernel else self._kernel
        with _faults():
            self._wireguard.start()
            self._index = self._arrive()

    def give_key(self) -> None:
        """Let it be the one whose public key was told, and set its interface up.

        That takes wireguard-go up to 1 ms. With no peer, address or route, nothing passes yet.
        """
        with _faults():
            self._wireguard.configure(self._key, FWMARK)
            self._there.run([rtnetlink.be_quiet(self._index), rtnetlink.raise_up(self._index)])

    def _arrive(self) -> int:
        """The interface's number over there. Raises OSError, Fault."""
        if self._wireguard is self._userspace:
            return move(INTERFACE, self._here, self._there, self._namespace)
        index = self._there.index(INTERFACE)  # the kernel's is born there
        if index is None:
            raise Fault("tunnel-fault")
        return index

    def open(
        self,
        tunnel: Tunnel,
        offer: psk.Offer,
        receipt_sha256: bytes,
        other: Endpoint | None = None,
    ) -> mtu.Width:
        """Walls, then addresses and routes, then the peer: the first handshake finds all ready.

        `other`: where a carrier would begin; a way there will do.
        """
        with _faults():
            self._link()
            check_place(tunnel, self._here.addresses())
            width = _width(tunnel, other)
            self._walls.batch([*lifeline.REQUESTS, *nfset.allow(tunnel.endpoint)])
            fitting = [
                address
                for address in tunnel.addresses
                if address.version == 4 or width.mtu_bytes >= mtu.IPV6_LEAST_BYTES
            ]
            self._there.run(
                [
                    rtnetlink.set_mtu(self._index, width.mtu_bytes),
                    *(rtnetlink.add_address(self._index, each) for each in fitting),
                    *(rtnetlink.default_route(self._index, each.version) for each in fitting),
                ]
            )
        self._agreed = (offer, psk.Bound(receipt_sha256, self._public_key, tunnel.peer))
        self.introduce(tunnel)
        return width

    def let_carry(self, first: Endpoint) -> int:
        """Walls for a carrier that begins at `first`, and none of WireGuard's own; its port.

        From here on no packet of WireGuard's leaves or enters the box but through a carrier.
        """
        with _faults():
            self._walls.batch(nfset.allow(first, Protocol.TCP))
            self._wireguard.set_peers((), replace=True)  # a late handshake over UDP is none
            return self._wireguard.device().listen_port

    def introduce(self, tunnel: Tunnel) -> None:
        """Make the gateway the only peer, as if it had never been: the next packet greets it."""
        assert self._kem is not None
        assert self._agreed is not None
        preshared_key = self._kem.psk(*self._agreed)
        allowed = tuple(_EVERYWHERE[address.version] for address in tunnel.addresses)
        peer = PeerConfig(tunnel.peer, allowed, preshared_key, tunnel.endpoint, KEEPALIVE_S)
        try:
            with _faults():
                self._wireguard.set_peers([peer], replace=True)
        finally:
            wipe(preshared_key)

    def find_way(self, tunnel: Tunnel) -> bool:
        """Packets to the gateway start from the addresses and routes of now. False: no way."""
        try:
            path.mtu_bytes(tunnel.endpoint)
        except Fault:
            return False
        with _faults():
            self._wireguard.move_endpoint(tunnel.peer, tunnel.endpoint)
        return True

    def narrow(self, mtu_bytes: int) -> None:
        """No larger packets than these."""
        with _faults():
            self._there.run([rtnetlink.set_mtu(self._index, mtu_bytes)])

    def handshake_done(self) -> bool:
        """Has this interface, made for this session, ever had a handshake?"""
        with _faults():
            return any(peer.handshake_ns for peer in self._wireguard.peers())

    def carried(self) -> tuple[int, int]:
        """Bytes that have come out of the tunnel, and gone into it."""
        with _faults():
            link = self._link()
        return link.received_bytes, link.sent_bytes

    def _link(self) -> rtnetlink.Link:
        """The interface. Raises Fault if the session namespace has another way out, or none."""
        links = {link.name: link for link in self._there.all()}
        if links.keys() != {"lo", INTERFACE}:
            raise Fault("tunnel-fault")
        return links[INTERFACE]

    def explain(self, code: str, endpoint: Endpoint) -> str:
        """`code`, by which a tunnel to `endpoint` is over, or one that says more. Never raises.

        Of a handshake over a carrier, its port on this machine tells nothing.
        """
        try:
            with _faults():
                if code == "handshake-timeout" and endpoint.address != LOOPBACK:
                    return self._why_no_handshake(endpoint)
                if code == "tunnel-lost" and self._clock_set_back():
                    return "clock-set-back"
        except Fault as fault:
            return fault.code
        return code

    def _why_no_handshake(self, endpoint: Endpoint) -> str:
        """As far as it can be told from here.

        WireGuard answers nobody it does not know: silence is a network without UDP as well as a
        gateway that is away or was never told of our key. An answer that did not help is a wrong
        key: the preshared one, or the gateway's own.
        """
        path.mtu_bytes(endpoint)  # raises no-route
        port = self._wireguard.device().listen_port
        replies = self._walls.dump(conntrack.flows(endpoint.address.version))
        answered = conntrack.Flow(port, endpoint, answered=True)
        known = answered in [conntrack.parse_flow(reply) for reply in replies]
        return "handshake-refused" if known else "udp-blocked"

    def _clock_set_back(self) -> bool:
        """Is the box's clock before its last handshake?

        Then the gateway takes no new one from this key until the clock has passed that time:
        WireGuard's initiations carry the time, and none may be older than the one before it.
        """
        return any(peer.handshake_ns > time.time_ns() for peer in self._wireguard.peers())

    def close(self) -> None:
        """Peers, process and interface, walls, keys. Raises Fault if something is still there."""
        self._wireguard.stop()
        wipe(self._key)
        self._key = bytearray()
        self._kem = self._agreed = None
        troubles: list[Exception] = []
        for undo in (self._shut_walls, self._delete_interface):  # the second whatever the first did
            try:
                undo()
            except (OSError, DecodeError) as error:
                troubles.append(error)
        overwrite_freed()  # the shared secret was `bytes`
        if troubles:
            raise Fault("tunnel-not-down") from troubles[0]

    def _shut_walls(self) -> None:
        try:
            self._walls.batch(nfset.clear())
        except FileNotFoundError:  # a table is gone, and nothing of the transaction done
            for family in nfset.FAMILIES:
                with contextlib.suppress(FileNotFoundError):  # nobody is let through what is gone
                    self._walls.batch(nfset.clear((family,)))

    def _delete_interface(self) -> None:
        for links in (self._there, self._here):
            if index := links.index(INTERFACE):  # a dead helper's, in the kernel, or nobody's
                links.run([rtnetlink.delete(index)])


class _faults(contextlib.AbstractContextManager[None]):  # noqa: N801  used as a statement
    """What the kernel or wireguard-go refuses is a Fault."""

    @override
    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, DecodeError)):
            raise Fault("tunnel-fault") from error


def _width(tunnel: Tunnel, other: Endpoint | None) -> mtu.Width:
    """The sizes this tunnel may have. Raises Fault("no-route") if the box knows no way."""
    least = mtu.IPV6_LEAST_BYTES if tunnel.vm.version == 6 else mtu.IPV4_LEAST_BYTES
    try:
        way = path.mtu_bytes(tunnel.endpoint)
    except Fault:
        if other is None:
            raise
        way = path.mtu_bytes(other)
    return mtu.Width(mtu.inside(way, tunnel.endpoint.address.version, least), least)
