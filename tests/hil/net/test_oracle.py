"""The oracle finds every leak on a real cable, and counts what it saw."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net import forge
from hil.net.oracle import Leaked, Oracle, Span, Tally
from hil.net.topology import BOX4, CENTRE4, UPLINK, Topology, allowed

pytestmark = pytest.mark.rig

HANDSHAKE = b"\x01\0\0\0" + bytes(144)
GATEWAY = (CENTRE4, 51820)
ALLOWED = allowed([f"{CENTRE4}:51820"])


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    with Topology() as made:
        made.box.run(_keep_quiet)
        yield made


def _keep_quiet() -> None:
    """There are no walls here: what the box's kernel says of itself would be a leak, too."""
    Path(f"/proc/sys/net/ipv6/conf/{UPLINK}/disable_ipv6").write_text("1")


def send(topology: Topology, payload: bytes, to: tuple[str, int] = GATEWAY) -> None:
    with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(payload, to)


def send_raw(topology: Topology, frame: bytes) -> None:
    with topology.box.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((UPLINK, 0))
        sock.send(frame)


def now() -> Span:
    return Span(time.monotonic_ns())


def test_what_may_leave_is_counted_and_no_leak(topology: Topology) -> None:
    tally = Tally()
    with Oracle(topology.cable, ALLOWED, tally=tally) as oracle:
        for _ in range(20):
            send(topology, HANDSHAKE)
        oracle.ask()
    assert tally.kinds["wireguard"] == 20
    assert (tally.leaked_frames, tally.frames_seen) == (0, tally.kinds.total())


@pytest.mark.parametrize("to", [(CENTRE4, 51821), (CENTRE4, 53), ("192.0.2.255", 9)])
def test_a_datagram_to_anybody_else_is_a_leak(topology: Topology, to: tuple[str, int]) -> None:
    tally = Tally()
    with Oracle(topology.cable, ALLOWED, tally=tally) as oracle:
        with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.sendto(HANDSHAKE, to)
        with pytest.raises(Leaked, match="UDP to nobody"):
            oracle.ask()
        oracle.ask()  # told once
    assert tally.leaked_frames == 1


def test_a_raw_frame_is_a_leak_and_leaving_tells_it(topology: Topology) -> None:
    oracle = Oracle(topology.cable, ALLOWED, tally=Tally())
    with pytest.raises(Leaked, match="ethertype"), oracle:
        send_raw(topology, forge.ethernet(forge.ALL4, bytes(6), 0x88B5, bytes(46)))


def test_what_may_leave_is_a_leak_behind_a_vlan_tag(topology: Topology) -> None:
    """A kernel takes the tag out before a witness sees the frame."""
    datagram = forge.udp((BOX4, 9), GATEWAY, HANDSHAKE)
    packet = forge.ipv4(BOX4, CENTRE4, forge.UDP, datagram)
    tagged = b"\x00\x05" + forge.IPV4.to_bytes(2, "big") + packet
    oracle = Oracle(topology.cable, ALLOWED, tally=Tally())
    with pytest.raises(Leaked, match="ethertype"), oracle:
        send_raw(topology, forge.ethernet(forge.ALL4, bytes(6), 0x8100, tagged))


def test_data_behind_a_gap_is_a_leak_at_the_end(topology: Topology) -> None:
    segment = forge.tcp((BOX4, 9), (CENTRE4, 443), 2000, b"GET /")
    begins = forge.tcp((BOX4, 9), (CENTRE4, 443), 1, b"", forge.SYN)
    oracle = Oracle(topology.cable, ALLOWED, tally=Tally())
    oracle.__enter__()
    for each in (begins, segment):
        packet = forge.ipv4(BOX4, CENTRE4, forge.TCP, each)
        send_raw(topology, forge.ethernet(forge.ALL4, bytes(6), forge.IPV4, packet))
    oracle.ask()  # it may yet be filled
    with pytest.raises(Leaked, match="gap"):
        oracle.__exit__()


def test_wireguard_passes_while_it_is_granted_and_at_no_other_time(topology: Topology) -> None:
    spans: list[Span] = []
    tally = Tally()
    with Oracle(topology.cable, ALLOWED, lambda: spans, tally) as oracle:
        send(topology, HANDSHAKE)
        with pytest.raises(Leaked, match="not granted"):
            oracle.ask()
        spans.append(now())
        send(topology, HANDSHAKE)
        oracle.ask()  # still granted
        send(topology, HANDSHAKE)
        spans[-1] = Span(spans[-1].start_ns, time.monotonic_ns())
        oracle.ask()
        send(topology, HANDSHAKE)
        with pytest.raises(Leaked, match="not granted"):
            oracle.ask()
    assert (tally.kinds["wireguard"], tally.leaked_frames) == (4, 2)


def test_a_kernels_first_words_are_leaks_once_the_walls_stand(topology: Topology) -> None:
    solicitation = forge.icmp6("fe80::2", "ff02::2", 133, bytes(4))
    packet = forge.ipv6("fe80::2", "ff02::2", forge.ICMP6, solicitation)
    frame = forge.ethernet(forge.multicast("ff02::2"), bytes(6), forge.IPV6, packet)
    with Oracle(topology.cable, ALLOWED, tally=Tally()) as oracle:
        send_raw(topology, frame)
        oracle.ask()
        oracle.walled()
        send_raw(topology, frame)
        with pytest.raises(Leaked, match="first words"):
            oracle.ask()


def test_a_connection_that_is_no_tls_is_a_leak(topology: Topology) -> None:
    with topology.centre.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((CENTRE4, 443))
        server.listen()
        oracle = Oracle(topology.cable, ALLOWED, tally=Tally())
        with oracle, topology.box.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.connect((CENTRE4, 443))
            oracle.ask()
            client.send(b"\x16\x03\x01\x00\x01x")
            with server.accept()[0]:
                oracle.ask()
                client.send(b"GET / HTTP/1.1\r\n\r\n")
                with pytest.raises(Leaked, match="TLS"):
                    oracle.ask()
