"""The far end of a tunnel, for tests of the near one: a WireGuard interface that serves a VM.

What the gateway does, without its reasons: wireguard-go runs in the centre's namespace, its
interface is moved into the VM's, whose kernel answers echo requests.
"""

from __future__ import annotations

import hashlib
import os
import socket
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hil.net.topology import CENTRE4, CENTRE6
from sdbox_agent import ipc
from sdbox_agent.tunnel import psk
from sdbox_agent.tunnel.kernel import Links
from sdbox_agent.tunnel.link import WireGuardGo, move
from sdbox_agent.tunnel.uapi import PeerConfig

if TYPE_CHECKING:
    from hil.net.topology import Topology
    from sdbox_agent.tunnel.uapi import PeerState

PORT: Final = 51820
VM4, VM6 = "10.77.0.1", "fd77::1"
OWN4, OWN6 = "10.77.0.2", "fd77::2"  # the box's addresses inside
_DIRECTORY: Final = Path("/run/wireguard")


class FarPeer:
    """One gateway interface in front of one VM, from `with` to its end."""

    endpoint4: Final = f"{CENTRE4}:{PORT}"
    endpoint6: Final = f"[{CENTRE6}]:{PORT}"

    def __init__(self, topology: Topology, name: str = "") -> None:
        self._topology = topology
        self.name = name or f"far{os.getpid()}"
        self.wireguard = WireGuardGo(self.name, _DIRECTORY)
        private = os.urandom(32)
        self._private = bytearray(private)
        self.public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()

    def __enter__(self) -> FarPeer:
        _DIRECTORY.mkdir(mode=0o755, exist_ok=True)
        vm = self._topology.vm[0]
        try:
            with self._topology.centre.entered():
                here = Links.here()
                self.wireguard.start()
            self.wireguard.configure(self._private, listen_port=PORT)
            there = Links(vm.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
            with vm.path.open("rb") as namespace:
                move(self.name, here, there, namespace.fileno())
            here.close()
            there.close()
            vm.ip(
                f"addr add {VM4}/32 dev {self.name}",
                f"addr add {VM6}/128 dev {self.name} nodad",
                f"link set {self.name} up",
                f"route add {OWN4}/32 dev {self.name}",
                f"route add {OWN6}/128 dev {self.name}",
            )
        except BaseException:
            self.wireguard.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.wireguard.stop()

    def admit(self, public_key: bytes, key: bytes | bytearray) -> None:
        """Let one box in, and nobody else."""
        allowed = (ip_network(f"{OWN4}/32"), ip_network(f"{OWN6}/128"))
        self.wireguard.set_peers([PeerConfig(public_key, allowed, bytearray(key))], replace=True)

    def invite(self, box: ipc.TunnelPrepared) -> ipc.OpenTunnel:
        """Let that box in, and nobody else; what its helper is to be told."""
        kem_key = psk.encapsulation_key(box.kem_key, hashlib.sha256(box.kem_key).digest())
        bound = psk.Bound(os.urandom(32), box.wg_public_key, self.public)
        offer, key = psk.make_offer(kem_key, os.urandom(psk.SALT_BYTES), bound)
        self.admit(box.wg_public_key, key)
        return ipc.OpenTunnel(
            n=box.n,
            peer=self.public,
            endpoint=self.endpoint4,
            psk_salt=offer.salt,
            kem_ciphertext=offer.ciphertext,
            receipt_sha256=bound.receipt_sha256,
            addresses=(f"{OWN4}/32", f"{OWN6}/128"),
            vm=VM4,
            lease_s=60,
        )

    def state(self) -> PeerState:
        """What is known of that box."""
        (peer,) = self.wireguard.peers()
        return peer
