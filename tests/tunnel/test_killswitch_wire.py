"""What the walls bind to the cable: DHCP, neighbours, routers, names, time. Frames are counted."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Network, ip_address

import pytest

from hil.net.namespace import Namespace
from hil.net.observe import Frame, Observer
from hil.net.topology import BOX6, CENTRE4, CENTRE6, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.killswitch import Walls, ruleset

pytestmark = pytest.mark.rig
WALLS = Walls(
    (parse_endpoint(f"{CENTRE4}:443"),), (UPLINK,), prefixes=(IPv6Network("2001:db8:2::/64"),)
)
FAR4, FAR6 = "192.0.2.77", "2001:db8:2::77"
ELSEWHERE6 = "2001:db8:99::1"  # not on this cable
ALONE = "02:00:00:00:00:01"


@pytest.fixture(scope="module")
def cabled() -> Iterator[Topology]:
    with Topology() as made:
        lines = [f"neigh add {FAR4} lladdr {ALONE} dev {UPLINK}"]
        lines += [f"neigh add {host} lladdr {ALONE} dev {UPLINK}" for host in (FAR6, "fe80::77")]
        made.box.ip(*lines, f"route add {ELSEWHERE6}/128 via {FAR6}")
        yield made


@pytest.fixture
def topology(cabled: Topology, request: pytest.FixtureRequest) -> Topology:
    cabled.box.nft("flush ruleset")
    cabled.box.nft(ruleset(request.param))
    return cabled


def walls(**change: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("topology", [replace(WALLS, **change)], indirect=True)


def udp(box: Namespace, to: tuple[str, int], source: int) -> None:
    family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
    with box.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, UPLINK.encode())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind(("", source))
        with contextlib.suppress(OSError):
            sock.sendto(b"question", to)


def icmp6(box: Namespace, kind: int, to: str, hops: int = 255) -> None:
    with box.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
        body = struct.pack("!BBHI", kind, 0, 0, 0) + ip_address(BOX6).packed
        index = box.run(lambda: socket.if_nametoindex(UPLINK))
        scope = index if to.startswith(("fe80", "ff")) else 0
        with contextlib.suppress(OSError):
            sock.sendto(body, (to, 0, 0, scope))


def seen(topology: Topology, *sends: object) -> list[Frame]:
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        for send in sends:
            send(topology.box)  # type: ignore[operator]
    return observer.arrived()


def ports(frames: list[Frame]) -> set[tuple[str, int]]:
    return {(f.destination, f.port) for f in frames if f.protocol == 17}


def discoveries(frames: list[Frame]) -> set[tuple[int | None, str]]:
    return {
        (f.icmp_type, f.destination) for f in frames if f.icmp_type in {133, 134, 135, 136, 137}
    }


DHCP = (
    ("255.255.255.255", 67, 68),
    (FAR4, 67, 68),  # the server itself: what a renewal would do first
    (CENTRE4, 67, 68),
    ("255.255.255.255", 67, 69),
    ("255.255.255.255", 53, 68),
    (f"ff02::1:2%{UPLINK}", 547, 546),
    (FAR6, 547, 546),
    ("255.255.255.255", 69, 68),
)


def ask_dhcp(box: Namespace) -> None:
    for host, port, source in DHCP:
        udp(box, (host.split("%")[0], port), source)


@walls(dhcp=True)
def test_dhcp_is_asked_of_everybody_on_the_cable_and_of_nobody_else(topology: Topology) -> None:
    found = ports(seen(topology, ask_dhcp))
    assert ("255.255.255.255", 67) in found
    assert found <= {("255.255.255.255", 67), ("ff02::1:2", 547)}


@walls(dhcp=False)
def test_a_box_with_static_addresses_asks_no_dhcp(topology: Topology) -> None:
    assert ports(seen(topology, ask_dhcp)) == set()


def look_for_neighbours(box: Namespace) -> None:
    for kind in (135, 136):
        for to in (
            FAR6,
            "fe80::77",
            "ff02::1",
            "ff02::1:ff00:77",
            ELSEWHERE6,
            "ff02::2",
            "ff05::2",
        ):
            icmp6(box, kind, to)
    icmp6(box, 135, FAR6, hops=64)
    for kind in (133, 134, 137, 128):
        for to in (FAR6, "ff02::2", "ff02::1"):
            icmp6(box, kind, to)


@walls()
def test_neighbours_are_looked_for_on_the_cable_and_nowhere_else(topology: Topology) -> None:
    found = discoveries(seen(topology, look_for_neighbours))
    near = {FAR6, "fe80::77", "ff02::1", "ff02::1:ff00:77"}
    assert found >= {(kind, to) for kind in (135, 136) for to in near}
    strange = {
        (k, to)
        for k, to in found
        if k not in {135, 136} or to in {ELSEWHERE6, "ff02::2", "ff05::2"}
    }
    assert strange == set()


@walls(router_advertisements=True)
def test_routers_are_asked_for_only_at_their_group(topology: Topology) -> None:
    found = discoveries(seen(topology, look_for_neighbours))
    assert (133, "ff02::2") in found
    assert {to for kind, to in found if kind == 133} == {"ff02::2"}
    assert not {kind for kind, _ in found} & {134, 137}


def arp(box: Namespace) -> None:
    """Frames of five operations, each as many bytes too long as its number says."""
    sender = bytes.fromhex(ALONE.replace(":", ""))
    with box.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((UPLINK, 0))
        for operation in (1, 2, 3, 8, 25):
            head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
            with contextlib.suppress(OSError):
                sock.send(b"\xff" * 6 + sender + b"\x08\x06" + head + bytes(20 + operation))


@walls()
def test_arp_asks_and_answers_and_does_nothing_else(topology: Topology) -> None:
    lengths = {f.length_bytes - 42 for f in seen(topology, arp) if f.ethertype == 0x0806}
    assert lengths - {0} == {1, 2}  # 0: the kernel's own


def ask_services(box: Namespace) -> None:
    for host in (CENTRE4, FAR4, CENTRE6, FAR6):
        for port in (53, 123, 853, 5353):
            udp(box, (host, port), 0)


@walls(resolvers=(ip_address(FAR4),), time_servers=(ip_address(FAR6),))
def test_names_and_time_are_asked_of_the_servers_named_and_of_no_other(topology: Topology) -> None:
    assert ports(seen(topology, ask_services)) == {(FAR4, 53), (FAR6, 123)}


@walls()
def test_without_servers_no_name_and_no_time_is_asked(topology: Topology) -> None:
    assert ports(seen(topology, ask_services)) == set()


@walls(time_servers=(ip_address(CENTRE4),))
def test_a_server_answers_and_cannot_call(topology: Topology) -> None:
    with (
        topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        topology.centre.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.bind((CENTRE4, 123))
        client.bind(("192.0.2.2", 5000))
        client.settimeout(0.3)
        server.sendto(b"call", ("192.0.2.2", 5000))
        with pytest.raises(TimeoutError):
            client.recv(9)
        for sock in (client, server):
            sock.settimeout(30)
        client.sendto(b"question", (CENTRE4, 123))
        server.sendto(b"answer", server.recvfrom(9)[1])
        assert client.recv(9) == b"answer"
