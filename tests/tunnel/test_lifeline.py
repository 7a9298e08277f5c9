"""Walls through which WireGuard gets as long as somebody holds one socket, and no longer."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net.process import Process, Unit
from hil.net.topology import BOX4, BOX6, CENTRE4, CENTRE6, UPLINK, Topology
from sdbox_agent.tunnel import lifeline, nfset
from sdbox_agent.tunnel.config import CARRIER_UID, FWMARK, Address, Endpoint, parse_endpoint
from sdbox_agent.tunnel.kernel import Sets
from sdbox_agent.tunnel.killswitch import Walls, ruleset
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig
GATEWAYS = [f"{CENTRE4}:51820", f"[{CENTRE6}]:51820"]
LIST = f"list table inet {lifeline.TABLE}"


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    with Topology() as made:
        made.box.nft(ruleset(Walls((parse_endpoint(f"{CENTRE4}:443"),), (UPLINK,))))
        yield made


@pytest.fixture
def holder(topology: Topology) -> Iterator[Sets]:
    made = topology.box.run(Sets.here)
    yield made
    with contextlib.suppress(OSError):
        made.batch(nfset.clear())
    made.close()


class Ends:
    """WireGuard's socket on the box, by its mark, and the gateway's."""

    def __init__(self, topology: Topology, gateway: Endpoint) -> None:
        family = socket.AF_INET if gateway.address.version == 4 else socket.AF_INET6
        self._to = (str(gateway.address), gateway.port)
        self._box = topology.box.socket(family, socket.SOCK_DGRAM)
        self._box.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, FWMARK)
        self._box.bind((own(gateway.address), 0))
        self._gateway = topology.centre.socket(family, socket.SOCK_DGRAM)
        self._gateway.bind(self._to)

    def leaves(self, patience_s: float) -> bool:
        """Does a datagram of the box's get to the gateway?"""
        with contextlib.suppress(PermissionError):  # the walls say so at once
            self._box.sendto(b"out", self._to)
        return heard(self._gateway, patience_s)

    def enters(self, patience_s: float) -> bool:
        """Does an answer of the gateway's get in?"""
        self._gateway.sendto(b"in", self._box.getsockname()[:2])
        return heard(self._box, patience_s)

    def close(self) -> None:
        self._box.close()
        self._gateway.close()


def own(gateway: Address) -> str:
    return BOX4 if gateway.version == 4 else BOX6


def heard(sock: socket.socket, patience_s: float) -> bool:
    sock.settimeout(patience_s)
    with contextlib.suppress(TimeoutError):
        return bool(sock.recv(9))
    return False


@pytest.mark.parametrize("granted", GATEWAYS)
def test_wireguard_gets_through_while_the_socket_is_held_and_not_after(
    topology: Topology, holder: Sets, granted: str
) -> None:
    gateway = parse_endpoint(granted)
    ends = Ends(topology, gateway)
    holder.batch(nfset.allow(gateway))
    assert not ends.leaves(0.2)  # granted, but nobody holds it
    holder.batch([*lifeline.REQUESTS, *nfset.allow(gateway)])
    assert ends.leaves(PATIENCE_S)
    assert ends.enters(PATIENCE_S)
    holder.close()  # as the kernel does for whoever is killed
    assert not ends.leaves(0.2)
    assert not ends.enters(0.2)  # though it answers a conversation that the box began
    ends.close()
    assert lifeline.TABLE not in topology.box.nft("list ruleset")


def test_a_carriers_user_sends_no_datagram_to_the_endpoint(
    topology: Topology, holder: Sets
) -> None:
    gateway = parse_endpoint(GATEWAYS[0])
    holder.batch([*lifeline.REQUESTS, *nfset.allow(gateway)])
    ends = Ends(topology, gateway)
    said = f"import socket; socket.socket(2, 2).sendto(b'out', {(CENTRE4, gateway.port)})"
    argv = ["/usr/bin/python3", "-c", said]
    process = Process(Unit(argv, topology.box, uid=CARRIER_UID, directory=Path("/")))
    assert process.wait(PATIENCE_S)
    assert process.status == 1  # EPERM: the walls say so at once
    process.end()
    assert not heard(ends._gateway, 0.2)
    assert ends.leaves(PATIENCE_S)
    ends.close()


def test_said_again_it_is_the_same(topology: Topology, holder: Sets) -> None:
    holder.batch(lifeline.REQUESTS)
    before = topology.box.nft(LIST)
    holder.batch(lifeline.REQUESTS)
    assert topology.box.nft(LIST) == before
    assert f"meta mark {FWMARK:#010x}" in before


def test_nobody_else_can_change_it(topology: Topology, holder: Sets) -> None:
    holder.batch(lifeline.REQUESTS)
    before = topology.box.nft(LIST)
    for attempt in ("delete table", "flush table", "add chain"):
        name = " other" if "chain" in attempt else ""
        with pytest.raises(subprocess.CalledProcessError):
            topology.box.nft(f"{attempt} inet {lifeline.TABLE}{name}")
    topology.box.nft("flush ruleset")  # the walls go; this stays
    assert topology.box.nft(LIST) == before
    topology.box.nft(ruleset(Walls((parse_endpoint(f"{CENTRE4}:443"),), (UPLINK,))))
