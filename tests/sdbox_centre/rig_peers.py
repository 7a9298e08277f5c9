"""The contract of test_peers over wireguard-go, in a network namespace of its own."""

import sys
from pathlib import Path

from sdbox_agent.terms import Level
from sdbox_centre.book import ProjectFile
from sdbox_centre.wireguard import WireGuardPeers
from tests.sdbox_centre.rig import own_network
from tests.sdbox_centre.test_peers import contract


def main(runtime: str) -> None:
    own_network((runtime, "/run/wireguard"))
    settings = ProjectFile(
        levels=(Level.HOST_MATCH,),
        endpoint="192.0.2.1:51820",
        pools=("10.77.0.0/24", "fd77::/64"),
        interface="sdboxvm1",
    )
    contract(WireGuardPeers.start(settings, Path("/run/wireguard"), None))
    assert "sdboxvm1" not in Path("/proc/net/dev").read_text()


if __name__ == "__main__":
    main(sys.argv[1])
