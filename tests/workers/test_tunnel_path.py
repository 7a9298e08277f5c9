"""What the way to the gateway does to an open tunnel: loss, other addresses, narrow places."""

import contextlib
import os
import select
import socket
import time
from collections.abc import Iterator

import pytest

from hil.net.observe import Observer
from hil.net.peer import VM4, VM6, FarPeer
from hil.net.topology import CENTRE4, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent import ipc
from sdbox_agent.tunnel.config import INTERFACE
from sdbox_agent.tunnel.life import COUNT_S
from tests.devices import by_either
from tests.waiting import until
from tests.workers.tunnel_parts import Core

pytestmark = pytest.mark.rig


@contextlib.contextmanager
def dropping(topology: Topology, what: str = "") -> Iterator[None]:
    """A host's network that swallows WireGuard, or `what` of it, both ways, and tells nobody."""
    topology.centre.nft(f"""table inet host {{
        chain coming {{ type filter hook prerouting priority -400; udp dport 51820 {what} drop; }}
        chain going {{ type filter hook output priority -400; udp sport 51820 {what} drop; }}
    }}""")
    try:
        yield
    finally:
        topology.centre.nft("delete table inet host")


def mtu_bytes(topology: Topology) -> int:
    return int(topology.session.show(f"link show {INTERFACE}").split(" mtu ")[1].split()[0])


def stays_up(core: Core, seconds: float) -> bool:
    """Nothing but signs of use is heard in that time."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        if select.select([core.channel], [], [], left_s)[0]:
            assert isinstance(core.channel.receive(), ipc.TunnelActive)
    return core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=True)


@by_either
def test_a_gateway_that_removes_us_is_noticed(topology: Topology, far: FarPeer, core: Core) -> None:
    core.rise(far)
    far.admit(b"\x01" * 32, os.urandom(32))
    assert core.hear_down() == "tunnel-lost"
    assert topology.session.links() == {"lo"}


def test_a_way_that_swallows_everything_is_noticed(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    with dropping(topology):
        assert core.hear_down() == "tunnel-lost"
    assert topology.session.links() == {"lo"}


def test_a_gateway_that_answers_from_elsewhere_is_not_followed(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    """WireGuard would roam to it; the walls know one endpoint, and it is the granted one."""
    elsewhere = "192.0.2.77"
    core.rise(far)
    topology.centre.ip(f"addr add {elsewhere}/32 dev {CENTRE_SIDE}")
    topology.centre.nft(f"""table ip moved {{
        chain going {{
            type filter hook output priority -400; udp sport 51820 ip saddr set {elsewhere};
        }}
    }}""")
    try:
        with Observer(topology.centre, CENTRE_SIDE) as observer:
            assert core.hear_down() == "tunnel-lost"
        assert observer.arrived(lambda frame: frame.destination == elsewhere) == []
    finally:
        topology.centre.nft("delete table ip moved")
        topology.centre.ip(f"addr del {elsewhere}/32 dev {CENTRE_SIDE}")


def test_a_line_that_loses_one_in_ten_carries_a_tunnel(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    with dropping(topology, "numgen random mod 100 < 10"):
        assert stays_up(core, 4)


@by_either
def test_a_lost_first_initiation_is_repeated(topology: Topology, far: FarPeer, core: Core) -> None:
    with dropping(topology, "numgen inc mod 1000000 < 1"):
        assert core.rise(far).handshake_ms > 900


@by_either
@pytest.mark.parametrize("v6", [False, True])
def test_another_address_of_the_box_is_told_to_wireguard(
    topology: Topology, far: FarPeer, core: Core, v6: bool
) -> None:
    core.rise(far, endpoint=far.endpoint6 if v6 else far.endpoint4)
    net, length, flags, shown = (
        ("2001:db8:2::", 64, "nodad", "[{}]:") if v6 else ("192.0.2.", 24, "", "{}:")
    )
    try:
        for old, new in ((2, 102), (102, 2)):
            topology.box.ip(
                f"addr del {net}{old}/{length} dev {UPLINK}",
                f"addr add {net}{new}/{length} dev {UPLINK} {flags}",
            )
            there = shown.format(f"{net}{new}")
            until(lambda there=there: str(far.state().endpoint).startswith(there))
            assert stays_up(core, 1.2)
    finally:
        topology.box.ip(
            f"addr flush dev {UPLINK} scope global",
            f"addr add 192.0.2.2/24 dev {UPLINK}",
            f"addr add 2001:db8:2::2/64 dev {UPLINK} nodad",
        )


def test_a_route_that_comes_and_goes_leaves_the_tunnel_up(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    for _ in range(20):
        topology.box.ip(f"route add 198.51.100.0/24 via {CENTRE4}", "route del 198.51.100.0/24")
    assert stays_up(core, 1.2)


def test_no_way_any_more_is_noticed(topology: Topology, far: FarPeer, core: Core) -> None:
    core.rise(far)
    topology.box.ip(f"link set {UPLINK} down")
    try:
        assert core.hear_down() == "tunnel-lost"
    finally:
        topology.box.ip(
            f"link set {UPLINK} up",
            f"addr replace 2001:db8:2::2/64 dev {UPLINK} nodad",
        )


def test_a_narrow_route_is_known_at_opening(topology: Topology, far: FarPeer, core: Core) -> None:
    topology.box.ip(f"route add {CENTRE4}/32 dev {UPLINK} mtu 1280")
    try:
        core.rise(far)
        assert mtu_bytes(topology) == 1216
        assert "inet6" not in topology.session.show(f"addr show dev {INTERFACE}")
        core.close_tunnel()
    finally:
        topology.box.ip(f"route del {CENTRE4}/32 dev {UPLINK}")


@by_either
@pytest.mark.parametrize(("passes", "found"), [(1280, 1200), (576, 496)])
def test_a_black_hole_is_found_and_survived(
    topology: Topology, far: FarPeer, core: Core, passes: int, found: int
) -> None:
    with dropping(topology, f"meta length > {passes}"):
        core.rise(far)
        until(lambda: mtu_bytes(topology) == found)
        assert stays_up(core, 1.2)


def test_a_black_hole_under_a_vm_of_ipv6_leaves_it_its_least(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    with dropping(topology, "meta length > 1400"):
        core.rise(far, vm=VM6)
        until(lambda: mtu_bytes(topology) == 1280)
        assert stays_up(core, 1.2)


def test_what_the_session_sends_is_told_and_silence_is_not(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=True)
    with topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while not select.select([core.channel], [], [], 0.1)[0]:
            sock.sendto(b"typed", (VM4, 9))
    assert isinstance(core.channel.receive(), ipc.TunnelActive)
    assert stays_up(core, COUNT_S + 2)  # what was typed since, and the VM's refusals
    assert not select.select([core.channel], [], [], 2.2 * COUNT_S)[0]
