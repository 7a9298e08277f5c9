"""The contract of test_peers over wireguard-go, in a network namespace of its own."""

import os
import sys
from pathlib import Path

from sdbox_agent.tunnel.uapi import MAX_PEERS
from sdbox_centre.book import ProjectFile
from sdbox_centre.peers import Peer
from sdbox_centre.wireguard import WireGuardPeers
from tests.sdbox_centre.rig import own_network
from tests.sdbox_centre.test_peers import contract


def main(runtime: str) -> None:
    own_network((runtime, "/run/wireguard"))
    settings = ProjectFile(
        endpoint="192.0.2.1:51820",
        pools=("10.77.0.0/24", "fd77::/64"),
        interface="sdboxvm1",
    )
    crowded(WireGuardPeers.start(settings, Path("/run/wireguard"), None))
    contract(WireGuardPeers.start(settings, Path("/run/wireguard"), None))
    assert "sdboxvm1" not in Path("/proc/net/dev").read_text()


def crowded(peers: WireGuardPeers) -> None:
    """As many as an interface may have: they can still be counted."""
    keys = {os.urandom(32) for _ in range(MAX_PEERS)}
    for n, key in enumerate(keys):
        peers.add(Peer(key, (f"10.77.{n // 256}.{n % 256}/32",)), bytearray(os.urandom(32)))
    assert set(peers.present()) == keys
    peers.close()


if __name__ == "__main__":
    main(sys.argv[1])
