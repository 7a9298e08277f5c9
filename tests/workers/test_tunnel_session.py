"""The session's namespace needs no rules of its own.

Whatever is done in it, even by root, and whatever the machine at the far end sends into it, nothing
but WireGuard is seen on the cable.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net.namespace import Namespace
from hil.net.observe import Observer
from hil.net.peer import OWN4, VM4, VM6, FarPeer
from hil.net.topology import CENTRE4, CENTRE6, CENTRE_SIDE, Topology
from sdbox_agent.tunnel.config import INTERFACE
from tests.waiting import until
from tests.workers.tunnel_parts import Core

pytestmark = pytest.mark.rig
ELSEWHERE = "198.51.100.1"


@contextlib.contextmanager
def only_wireguard_is_seen(topology: Topology) -> Iterator[Observer]:
    """Frames are counted: a witness that saw none proves nothing."""
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        yield observer
    frames = observer.arrived(lambda frame: not frame.neighbour_discovery)
    assert frames
    assert {(f.protocol, f.destination, f.port) for f in frames} == {(17, CENTRE4, 51820)}


def send_everything(session: Namespace, device: str) -> None:
    """As root: every protocol to everybody, with headers of our own, and frames past the stack."""
    for family, hosts in (
        (socket.AF_INET, (VM4, CENTRE4, ELSEWHERE, "255.255.255.255")),
        (socket.AF_INET6, (VM6, CENTRE6, "2001:db8::1", f"ff02::1%{device}")),
    ):
        for protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_UDP, 89):
            with session.socket(family, socket.SOCK_RAW, protocol) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                for host in hosts:
                    with contextlib.suppress(OSError):
                        sock.sendto(bytes(64), (host, 0))
    with session.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        for ethertype in (0x0800, 0x0806, 0x86DD, 0x88B5):
            with contextlib.suppress(OSError):
                sock.send(b"\xff" * 12 + struct.pack("!H", ethertype) + bytes(60))


def ipv4(source: str, destination: str, protocol: int, body: bytes) -> bytes:
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    return head + body  # a raw socket fills in the checksum


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def redirect(of: bytes, gateway: str) -> bytes:
    """RFC 792: send what is for there to `gateway` instead."""
    body = struct.pack("!BBH4s", 5, 1, 0, socket.inet_aton(gateway)) + of[:28]
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def test_root_in_the_session_gets_nothing_past_the_tunnel(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    with only_wireguard_is_seen(topology):
        send_everything(topology.session, INTERFACE)
        topology.session.ip(
            f"addr add 192.0.2.2/24 dev {INTERFACE}",  # the box's own, on the host's cable
            f"route add {CENTRE4}/32 dev {INTERFACE}",
            f"route add default via {CENTRE4} dev {INTERFACE} metric 1 onlink",
        )
        send_everything(topology.session, INTERFACE)
    core.close_tunnel()


def test_without_a_tunnel_there_is_nowhere_to_send_to(topology: Topology, core: Core) -> None:
    core.close_tunnel()
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        send_everything(topology.session, "lo")
        with (
            topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
            pytest.raises(OSError, match="unreachable"),
        ):
            sock.sendto(b"out", (CENTRE4, 443))
    assert observer.arrived() == []


def test_a_machine_that_redirects_and_routes_through_the_box_meets_the_tunnel_again(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    """Even where the session's kernel would forward and believe."""
    core.rise(far)
    vm = topology.vm[0]

    def believe() -> None:
        for name in ("ip_forward", "conf/all/accept_redirects", "conf/all/secure_redirects"):
            value = "0" if name.endswith("secure_redirects") else "1"
            Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
        Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")

    topology.session.run(believe)
    before = topology.session.show("route get " + ELSEWHERE).split(" cache")[0]
    with (
        only_wireguard_is_seen(topology) as seen,
        vm.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock,
    ):
        with topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"x" * 20, (ELSEWHERE, 9))
        sent = ipv4(OWN4, ELSEWHERE, 17, struct.pack("!HHHH", 9, 9, 28, 0) + b"x" * 20)
        stolen = ipv4(VM4, OWN4, 1, redirect(sent, CENTRE4))
        through = ipv4(VM4, CENTRE4, 17, struct.pack("!HHHH", 9, 443, 28, 0) + b"x" * 20)
        vm.ip(f"route replace {CENTRE4}/32 dev {far.name}")
        for packet, host in ((stolen, OWN4), (through, CENTRE4)):
            for _ in range(3):
                sock.sendto(packet, (host, 0))
        until(lambda: len(seen.arrived()) >= 8)  # they came, and were answered or sent back
    vm.ip(f"route del {CENTRE4}/32 dev {far.name}")
    assert topology.session.show("route get " + ELSEWHERE).split(" cache")[0] == before
    core.close_tunnel()
