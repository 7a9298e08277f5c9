"""A hostile network around the box: what it says changes nothing, what it takes ends the session.

Each case is a session of the whole rig with the host's hands on the cable; each ends by asking the
oracle (`tidy`), and one leaked frame fails it.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_network

import pytest

from hil.centre import PORT, PROJECTS
from hil.issuing import Issuing
from hil.net import attack, forge
from hil.net.host import Way, black_hole, shaky
from hil.net.namespace import Namespace
from hil.net.rogue import Rogue
from hil.net.topology import BOX4, BOX6, CENTRE4, CENTRE6, CENTRE_SIDE, UPLINK, Topology
from tests.hil.fault_bench import Bench, opened
from tests.waiting import until

pytestmark = pytest.mark.rig

HOLDERS = 24
POOL = PROJECTS[0].pool
MACHINE = str(next(ip_network(POOL).hosts()))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    # A card each time: where the line loses much, the centre may not hear of a session's end, and
    # keeps it for as long as its lease.
    with opened(one=HOLDERS, hostile=True) as one:
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


def mac_of(namespace: Namespace, interface: str) -> bytes:
    return forge.mac(namespace.show(f"link show {interface}").split("link/ether ")[1].split()[0])


def victim(topology: Topology) -> attack.Victim:
    return attack.Victim(mac_of(topology.box, UPLINK), BOX4, BOX6)


def lies(one: attack.Victim) -> dict[str, tuple[bytes, ...]]:
    routes = {"0.0.0.0/0": attack.EVIL4, f"{CENTRE4}/32": attack.EVIL4, POOL: attack.EVIL4}
    return {
        "icmp redirects": (
            attack.redirected(one, CENTRE4, MACHINE),
            attack.redirected(one, CENTRE4, CENTRE4),
            attack.redirected6(one, CENTRE6),
        ),
        "a router's advertisements": (attack.router_advertised(one),),
        "dhcp": tuple(attack.leased(one, kind, routes) for kind in (2, 5)),
        "dns": tuple(attack.name_answered(one, CENTRE4, port) for port in (53, 5353, 40000)),
        "neighbours": (attack.claimed6(one, CENTRE6), attack.claimed(one, attack.EVIL4)),
    }


LIES = tuple(lies(attack.Victim(bytes(6), BOX4, BOX6)))


def plan(topology: Topology) -> list[str]:
    """Addresses and routes of the box and of the session, without what counts down."""
    return [
        line.split(" expires")[0].split(" valid_lft")[0]
        for namespace in (topology.box, topology.session)
        for command in ("-4 route show table all", "-6 route show table all", "address")
        for line in namespace.show(command).splitlines()
    ]


def reaches_machine(bench: Bench) -> None:
    assert until(bench.machine_answers), "nothing passes the tunnel"


# -- what is said ----------------------------------------------------------------------------------


def test_without_walls_the_same_words_are_believed() -> None:
    """The control: an attack that nobody believes proves nothing."""
    with Topology(hostile=True) as naive:
        before = plan(naive)
        one = victim(naive)
        with naive.host.shouting(*lies(one)["a router's advertisements"]):
            until(lambda: any("2001:db8:66:" in line for line in plan(naive)))
        assert not any("2001:db8:66:" in line for line in before)
        with naive.box.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"ask who that is", (CENTRE6, 9))
        with naive.host.shouting(attack.claimed6(one, CENTRE6)):
            until(lambda: "02:66:66:66:66:66" in naive.box.show("-6 neighbour"))


@pytest.mark.parametrize("lie", LIES)
def test_fault_80_a_network_that_lies_changes_nothing(bench: Bench, lie: str) -> None:
    topology = bench.rig.topology
    told = lies(victim(topology))[lie]
    before = plan(topology)
    with topology.host.shouting(*told):
        bench.to_open(bench.holder())
        reaches_machine(bench)
        bench.rig.operator.remove()
        bench.ended("card-removed")
        assert plan(topology) == before


def test_fault_81_no_name_is_asked_for_and_no_router(bench: Bench) -> None:
    """Whoever runs on the box: what the network offers is not used."""
    topology = bench.rig.topology
    with topology.host.shouting(
        *(frame for told in lies(victim(topology)).values() for frame in told)
    ):
        for family, server in ((socket.AF_INET, attack.EVIL4), (socket.AF_INET6, CENTRE6)):
            with topology.box.socket(family, socket.SOCK_DGRAM) as sock:
                for port in (53, 123, 5353):
                    with contextlib.suppress(OSError):  # the walls say no at once
                        sock.sendto(b"where is the centre", (server, port))
        bench.good()


@contextlib.contextmanager
def routed(namespace: Namespace, *routes: str) -> Iterator[None]:
    """What a DHCP client would believe, believed: the routes are there."""
    namespace.ip(*(f"route add {route}" for route in routes))
    try:
        yield
    finally:
        namespace.ip(*(f"route del {route}" for route in routes))


def test_fault_80_routes_to_the_project_do_not_draw_the_session(bench: Bench) -> None:
    topology = bench.rig.topology
    by_evil = f"via {attack.EVIL4} dev {UPLINK}"
    routes = [f"default {by_evil}", f"{POOL} {by_evil}", f"fd77::/16 via {CENTRE6} dev {UPLINK}"]
    claim = attack.claimed(victim(topology), attack.EVIL4)
    with routed(topology.box, *routes), topology.host.shouting(claim):
        bench.to_open(bench.holder())
        reaches_machine(bench)
        with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(100):  # the root namespace's own traffic to the project
                with contextlib.suppress(OSError):
                    sock.sendto(b"meant for the machine", (MACHINE, 9))
        bench.rig.operator.remove()
        bench.ended("card-removed")


def test_fault_80_a_route_to_the_gateway_can_only_end_the_session(bench: Bench) -> None:
    topology = bench.rig.topology
    bench.to_open(bench.holder())
    claim = attack.claimed(victim(topology), attack.EVIL4)
    with (
        topology.host.shouting(claim),
        routed(topology.box, f"{CENTRE4}/32 via {attack.EVIL4} dev {UPLINK}"),
    ):
        bench.ended("tunnel-lost", within_s=30)


def test_a_neighbour_that_claims_the_centres_address_can_only_end_the_session(
    bench: Bench,
) -> None:
    topology = bench.rig.topology
    bench.to_open(bench.holder())
    one = victim(topology)

    def diverted() -> bool:
        return "02:66:66:66:66:66" in topology.box.show(f"neighbour show to {CENTRE4}")

    with topology.host.shouting(attack.claimed(one, CENTRE4)):
        until(diverted)
        bench.ended("tunnel-lost", within_s=30)
    centre = mac_of(topology.centre, CENTRE_SIDE)
    answer = forge.arp(2, (centre, CENTRE4), (one.mac, BOX4))
    with topology.host.shouting(forge.ethernet(one.mac, centre, forge.ARP, answer)):
        until(lambda: not diverted())
    bench.rig.operator.remove()
    bench.watch.state("idle")
    bench.good()


# -- who answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["another authority's", "another name's", "an old protocol's"])
def test_another_in_the_centres_place_hears_nothing(bench: Bench, kind: str) -> None:
    """A rogue server, and a proxy that opens TLS, which is one."""
    rig = bench.rig
    newest = ssl.TLSVersion.TLSv1_3
    if kind == "another authority's":
        pair = Issuing().server(CENTRE4, "centre.test")
    elif kind == "another name's":
        pair = rig.issuing.server("192.0.2.99", "other.test")
    else:
        pair, newest = rig.issuing.server(CENTRE4, "centre.test"), ssl.TLSVersion.TLSv1_2
    rig.centre.end_api()
    try:
        with Rogue(rig.topology.centre, (CENTRE4, PORT), pair, newest) as rogue:
            rig.operator.insert(bench.holder().card)
            bench.ended("centre-unreachable", within_s=10)
            assert rogue.clients > 0
            assert (rogue.handshakes, rogue.heard) == (0, b"")
    finally:
        rig.centre.start_api()
    rig.operator.remove()
    bench.watch.state("idle")
    bench.good()


# -- what becomes of frames ------------------------------------------------------------------------


def test_frames_late_repeated_and_out_of_order_harm_nothing(bench: Bench) -> None:
    with bench.rig.topology.host.treating(shaky(1, lost=0.0, twice=0.3, late_s=0.02)):
        bench.to_open(bench.holder())
        reaches_machine(bench)
        bench.rig.operator.remove()
        bench.ended("card-removed")


def test_a_line_that_loses_much_opens_or_says_why(bench: Bench) -> None:
    holder = bench.holder()
    with bench.rig.topology.host.treating(shaky(2, lost=0.2, twice=0.1, late_s=0.05)):
        bench.rig.operator.insert(holder.card)
        seen = bench.watch.state("scanning", "spent")
        if seen.state == "scanning":
            bench.rig.operator.place(holder.person)
            seen = bench.watch.state("open", "spent", within_s=60)
        assert seen.state == "open" or seen.code, seen


def test_fault_79_a_black_hole_on_the_way_to_the_centre_is_told_in_time(bench: Bench) -> None:
    with bench.rig.topology.host.treating(black_hole(576)):
        bench.rig.operator.insert(bench.holder().card)
        closing = bench.watch.state("closing", "open", within_s=60)
        assert (closing.state, closing.code) in {
            ("closing", "centre-slow"),
            ("closing", "centre-unreachable"),
        }
        bench.watch.state("spent")
    bench.rig.operator.remove()
    bench.watch.state("idle")
    bench.good()


def test_everything_lost_at_once_ends_the_session(bench: Bench) -> None:
    def nothing(_frame: bytes, _way: Way) -> Sequence[float]:
        return ()

    bench.to_open(bench.holder())
    with bench.rig.topology.host.treating(nothing):
        bench.ended("tunnel-lost", within_s=30)
