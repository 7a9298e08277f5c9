"""The walls: their text, and what they let onto a cable."""

import contextlib
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv6Network, ip_address
from pathlib import Path

import pytest

from hil.net.namespace import Namespace
from hil.net.observe import Frame, Observer
from hil.net.process import Process, Unit
from hil.net.topology import BOX4, BOX6, CENTRE4, CENTRE6, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import lifeline, nfset
from sdbox_agent.tunnel.config import CARRIER_UID, FWMARK, LIVE_MARK, parse_endpoint
from sdbox_agent.tunnel.kernel import Sets
from sdbox_agent.tunnel.killswitch import Purpose, Walls, hook, openings, remove, ruleset
from sdbox_agent.tunnel.nfset import Protocol
from tests.waiting import PATIENCE_S

CENTRE = (parse_endpoint(f"{CENTRE4}:443"), parse_endpoint(f"[{CENTRE6}]:443"))
GRANTED4, GRANTED6 = f"{CENTRE4}:51820", f"[{CENTRE6}]:51820"


def test_every_hook_drops_by_default() -> None:
    text = ruleset(Walls(CENTRE, ("uplink", "eth1")))
    hooks = [line for line in text.splitlines() if "hook" in line]
    assert len(hooks) == 5  # three chains, two devices
    assert all("policy drop;" in line for line in hooks)


def test_dhcp_and_router_advertisements_pass_only_where_the_box_needs_them() -> None:
    bare = ruleset(Walls(CENTRE, (UPLINK,), dhcp=False))
    assert "67" not in bare
    assert "router" not in bare
    assert "nd-router-advert" in ruleset(Walls(CENTRE, (UPLINK,), router_advertisements=True))


def test_names_and_time_pass_only_to_the_servers_named() -> None:
    assert not {Purpose.NAMES, Purpose.TIME} & {
        each.purpose for each in openings(Walls(CENTRE, (UPLINK,)))
    }
    served = openings(
        Walls(
            CENTRE,
            (UPLINK,),
            resolvers=(ip_address("192.0.2.53"),),
            time_servers=(ip_address("2001:db8:2::7b"),),
        )
    )
    out = {each.purpose: each.out for each in served}
    assert out[Purpose.NAMES] == (
        "ip daddr { 192.0.2.53 } udp dport 53",
        "ip daddr { 192.0.2.53 } tcp dport 53",
    )
    assert out[Purpose.TIME] == ("ip6 daddr { 2001:db8:2::7b } udp dport 123",)


def test_neighbours_are_looked_for_on_the_cable_and_nowhere_else() -> None:
    named = ruleset(Walls(CENTRE, (UPLINK,), prefixes=(IPv6Network("2001:db8:2::/64"),)))
    assert "2001:db8:2::/64" in named
    assert "2000::/3" not in named
    assert "2000::/3" in ruleset(Walls(CENTRE, (UPLINK,)))


@pytest.mark.rig
def test_what_is_named_twice_is_no_error(topology: Topology) -> None:
    twice = (IPv6Network("2001:db8::/32"), IPv6Network("2001:db8:2::/64"), IPv6Network("fd00::/8"))
    server = ip_address("192.0.2.53")
    topology.box.nft(
        ruleset(
            Walls(
                CENTRE * 2,
                (UPLINK, UPLINK),
                prefixes=twice * 2,
                resolvers=(server, server),
                time_servers=(server, server),
            )
        )
    )
    topology.box.nft(ruleset(Walls(CENTRE, (UPLINK,))))


def test_a_box_without_an_uplink_lets_nothing_out() -> None:
    bare = Walls(CENTRE, ())
    assert openings(bare) == ()
    assert {line.strip() for line in ruleset(bare).splitlines() if "accept" in line} == {
        'iif "lo" accept comment "loopback"',
        'oif "lo" accept comment "loopback"',
    }


def test_output_and_egress_say_the_same() -> None:
    text = ruleset(Walls(CENTRE, (UPLINK,), router_advertisements=True))
    chains = {
        part.split(" {")[0]: [line.strip() for line in part.splitlines() if "comment" in line]
        for part in text.split("  chain ")[1:]
    }
    assert chains["output"][1:] == chains["leaving"][1:]
    assert chains["output"][0].startswith('oif "lo"')
    assert chains["leaving"][0].startswith("arp ")


def test_what_is_taken_down_has_our_name() -> None:
    lines = remove().splitlines()
    assert all(line.endswith((" inet sdbox", " netdev sdbox")) for line in lines)
    assert sum(line.startswith("delete ") for line in lines) == 2


@pytest.mark.parametrize("name", ["", "a" * 16, 'x" }; policy accept; #', "a b", "-x", "a\nb"])
def test_no_device_name_can_write_rules(name: str) -> None:
    with pytest.raises(DecodeError):
        ruleset(Walls(CENTRE, (name,)))
    with pytest.raises(DecodeError):
        hook(name)


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    with Topology() as made:
        made.box.nft(ruleset(Walls(CENTRE, (UPLINK,))))
        yield made


def attempts(box: Namespace, mark: int) -> int:
    """Everything a program in the box's namespace may try; how many sends the kernel took."""
    taken = 0
    for family, centre in ((socket.AF_INET, CENTRE4), (socket.AF_INET6, CENTRE6)):
        for port in (51820, 51821, 53, 123, 443, 80):
            with box.socket(family, socket.SOCK_DGRAM) as sock:
                if mark:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
                with contextlib.suppress(OSError):
                    taken += sock.sendto(b"forbidden", (centre, port)) > 0
        for port in (80, 22):
            with box.socket(family, socket.SOCK_STREAM) as sock:
                sock.settimeout(0.02)
                with contextlib.suppress(OSError):
                    sock.connect((centre, port))
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        with box.socket(family, socket.SOCK_RAW, protocol) as sock, contextlib.suppress(OSError):
            taken += sock.sendto(
                bytes([8 if family == socket.AF_INET else 128]) + bytes(7), (centre, 0)
            )
    with box.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((UPLINK, 0))
        for ethertype in (b"\x08\x00", b"\x86\xdd", b"\x88\xb5", b"\x81\x00"):
            with contextlib.suppress(OSError):
                taken += sock.send(b"\xff" * 12 + ethertype + bytes(60)) > 0
    return taken


def seen(topology: Topology, mark: int) -> list[Frame]:
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        attempts(topology.box, mark)
    return observer.arrived(lambda frame: not frame.neighbour_discovery)


@pytest.mark.rig
def test_without_walls_the_same_attempts_are_seen() -> None:
    """The control: a witness that sees nothing proves nothing."""
    with Topology() as open_box:
        frames = seen(open_box, 0)
    assert {frame.protocol for frame in frames} >= {1, 6, 17, 58}
    assert {frame.ethertype for frame in frames} >= {0x0800, 0x86DD, 0x88B5}


@pytest.mark.rig
@pytest.mark.parametrize("mark", [0, FWMARK, LIVE_MARK])
def test_nothing_reaches_the_cable_without_a_granted_endpoint(
    topology: Topology, mark: int
) -> None:
    assert seen(topology, mark) == []


@pytest.mark.rig
@pytest.mark.parametrize("granted", [GRANTED4, GRANTED6])
def test_only_marked_packets_reach_the_granted_endpoint(topology: Topology, granted: str) -> None:
    endpoint = parse_endpoint(granted)
    sets = topology.box.run(Sets.here)
    sets.batch(nfset.allow(endpoint))
    try:
        assert seen(topology, 0) == seen(topology, FWMARK) == []
        through = seen(topology, LIVE_MARK)
        assert {(f.destination, f.port, f.protocol) for f in through} == {
            (str(endpoint.address), 51820, 17)
        }
        sets.batch(nfset.clear())
        assert seen(topology, LIVE_MARK) == []
    finally:
        sets.batch(nfset.clear())
        sets.close()


KNOCK = (  # as whoever it is run by: a connection to the carrier's endpoint, and to the next port
    "import socket,sys\n"
    "for port, patience_s in ((8443, float(sys.argv[3])), (8444, 0.2)):\n"
    "  with socket.socket(int(sys.argv[2])) as s:\n"
    "    s.settimeout(patience_s)\n"
    "    try: s.connect((sys.argv[1], port))\n"
    "    except OSError: pass\n"
)


def knock(
    topology: Topology, uid: int, host: str, family: int, patience_s: float = 0.2
) -> list[Frame]:
    argv = ["/usr/bin/python3", "-c", KNOCK, host, str(int(family)), str(patience_s)]
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        process = Process(Unit(argv=argv, network=topology.box, uid=uid, directory=Path("/")))
        assert process.wait(2 * PATIENCE_S)
        process.end()
    return observer.arrived(lambda frame: not frame.neighbour_discovery)


@pytest.mark.rig
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, CENTRE4), (socket.AF_INET6, CENTRE6)]
)
def test_in_carrier_mode_only_the_carriers_user_leaves_and_wireguard_does_not(
    topology: Topology, family: int, host: str
) -> None:
    endpoint = parse_endpoint(
        f"{CENTRE4}:8443" if family == socket.AF_INET else f"[{CENTRE6}]:8443"
    )
    assert knock(topology, CARRIER_UID, host, family) == []
    sets = topology.box.run(Sets.here)
    sets.batch(nfset.allow(endpoint, Protocol.TCP))
    assert knock(topology, CARRIER_UID, host, family) == []  # granted, but no helper lives
    sets.batch([*lifeline.REQUESTS, *nfset.allow(endpoint, Protocol.TCP)])
    try:
        through = knock(topology, CARRIER_UID, host, family, PATIENCE_S)  # it is refused there
        assert {(f.destination, f.port, f.protocol) for f in through} == {(host, 8443, 6)}
        assert knock(topology, CARRIER_UID + 1, host, family) == []
        assert seen(topology, LIVE_MARK) == []
    finally:
        sets.batch(nfset.clear())
        sets.close()
    assert knock(topology, CARRIER_UID, host, family) == []


@pytest.mark.rig
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, CENTRE4), (socket.AF_INET6, CENTRE6)]
)
def test_the_carriers_endpoint_answers_and_cannot_call(
    topology: Topology, family: int, host: str
) -> None:
    """What comes from it belongs to a connection that the box began."""
    endpoint = parse_endpoint(
        f"{CENTRE4}:8443" if family == socket.AF_INET else f"[{CENTRE6}]:8443"
    )
    sets = topology.box.run(Sets.here)
    sets.batch([*lifeline.REQUESTS, *nfset.allow(endpoint, Protocol.TCP)])
    with topology.box.socket(family, socket.SOCK_STREAM) as server:
        own = BOX4 if family == socket.AF_INET else BOX6
        server.bind((own, 8443))
        server.listen()
        with topology.centre.socket(family, socket.SOCK_STREAM) as client:
            client.bind((host, 8443))
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.connect((own, 8443))
    sets.batch(nfset.clear())
    sets.close()


@pytest.mark.rig
def test_the_granted_endpoint_answers_and_cannot_call(topology: Topology) -> None:
    """Its address and port are no key: only what answers WireGuard's own packets comes in."""
    sets = topology.box.run(Sets.here)
    sets.batch([*lifeline.REQUESTS, *nfset.allow(parse_endpoint(GRANTED4))])
    with (
        topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as wireguard,
        topology.centre.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway,
    ):
        wireguard.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, FWMARK)
        wireguard.bind((BOX4, 7777))
        gateway.bind((CENTRE4, 51820))
        wireguard.settimeout(0.3)
        gateway.sendto(b"call", (BOX4, 7777))
        with pytest.raises(TimeoutError):
            wireguard.recv(9)
        wireguard.settimeout(PATIENCE_S)
        wireguard.sendto(b"question", (CENTRE4, 51820))
        gateway.settimeout(PATIENCE_S)
        assert gateway.recv(9) == b"question"
        gateway.sendto(b"answer", (BOX4, 7777))
        assert wireguard.recv(9) == b"answer"
    sets.batch(nfset.clear())
    sets.close()


@pytest.mark.rig
def test_nft_lists_the_granted_endpoint_and_no_other(topology: Topology) -> None:
    sets = topology.box.run(Sets.here)
    for granted in (GRANTED6, "198.51.100.7:9", GRANTED4):
        sets.batch(nfset.allow(parse_endpoint(granted)))
    shown = [
        topology.box.nft(f"list set {family} sdbox endpoint4") for family in ("inet", "netdev")
    ]
    assert all(text.count("elements = { 192.0.2.1 . 51820 }") == 1 for text in shown)
    assert "elements" not in topology.box.nft("list set inet sdbox endpoint6")
    sets.batch(nfset.clear())
    assert "elements" not in topology.box.nft("list set inet sdbox endpoint4")
    sets.close()


@pytest.mark.rig
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, CENTRE4), (socket.AF_INET6, CENTRE6)]
)
def test_the_box_reaches_the_centre_and_is_reached_by_nobody(
    topology: Topology, family: int, host: str
) -> None:
    with topology.centre.socket(family, socket.SOCK_STREAM) as server:
        server.bind((host, 443))
        server.listen()
        with topology.box.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE_S)
            client.connect((host, 443))
            client.send(b"hello")
    with topology.box.socket(family, socket.SOCK_STREAM) as server:
        own = BOX4 if family == socket.AF_INET else BOX6
        server.bind((own, 443))
        server.listen()
        with topology.centre.socket(family, socket.SOCK_STREAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((host, 443))  # the port the box believes, from the wrong side
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.connect((own, 443))


@pytest.mark.rig
def test_a_knock_from_outside_is_not_even_refused(topology: Topology) -> None:
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        for family, own in ((socket.AF_INET, BOX4), (socket.AF_INET6, BOX6)):
            with topology.centre.socket(family, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"knock", (own, 51820))
        time.sleep(0.02)
    assert observer.arrived(lambda frame: not frame.neighbour_discovery) == []


@pytest.mark.rig
def test_loading_the_walls_again_says_the_same_again(topology: Topology) -> None:
    """Whatever somebody has added to our chains is gone."""
    before = topology.box.nft("list ruleset")
    topology.box.nft("insert rule inet sdbox output accept")
    topology.box.nft("add rule netdev sdbox leaving accept")
    assert topology.box.nft("list ruleset") != before
    topology.box.nft(ruleset(Walls(CENTRE, (UPLINK,))))
    assert topology.box.nft("list ruleset") == before


@pytest.mark.rig
def test_the_walls_come_down_only_by_name(topology: Topology) -> None:
    topology.box.nft("add table ip stranger")
    topology.box.nft(remove())
    assert topology.box.nft("list ruleset").split() == ["table", "ip", "stranger", "{", "}"]
    topology.box.nft(remove())  # nothing there is no error
    topology.box.nft("delete table ip stranger")
    topology.box.nft(ruleset(Walls(CENTRE, (UPLINK,))))


@pytest.mark.rig
def test_without_walls_nobody_is_let_through(topology: Topology) -> None:
    sets = topology.centre.run(Sets.here)
    with pytest.raises(FileNotFoundError):
        sets.batch(nfset.allow(parse_endpoint(GRANTED4)))
    sets.close()
