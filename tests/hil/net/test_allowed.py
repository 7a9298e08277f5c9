"""What may leave a box is known for what it is; everything else is a leak."""

import dataclasses
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.net import forge
from hil.net.allowed import Allowed, Classifier, Kind
from hil.net.packet import parse
from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import parse_endpoint

BOX, HOST = forge.mac("02:00:00:00:00:02"), forge.mac("02:00:00:00:00:01")
BOX4, HOST4, BOX6, HOST6 = "192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1"
LINK6 = "fe80::2"
ALLOWED = Allowed(
    own=frozenset(map(ip_address, (BOX4, BOX6))),
    centre=frozenset({parse_endpoint(f"{HOST4}:443")}),
    gateways=frozenset({parse_endpoint(f"{HOST4}:51820"), parse_endpoint(f"[{HOST6}]:51820")}),
    carriers=frozenset({parse_endpoint(f"{HOST4}:8443")}),
    dhcp=True,
)
HELLO = b"\x16\x03\x01\x00\x04abcd"
NEIGHBOUR = bytes(4) + ip_address(HOST6).packed
DHCP = (b"\x01\x01\x06" + bytes(233)) + bytes((99, 130, 83, 99)) + b"\x35\x01\x01\xff"


def wireguard(kind: int, length: int) -> bytes:
    return bytes((kind, 0, 0, 0)).ljust(length, b"x")


def udp(payload: bytes, port: int = 51820, source: str = BOX4, own_port: int = 40000) -> bytes:
    to = HOST4 if ip_address(source).version == 4 else HOST6
    datagram = forge.udp((source, own_port), (to, port), payload)
    if to == HOST4:
        packet = forge.ipv4(source, to, forge.UDP, datagram)
        return forge.ethernet(HOST, BOX, forge.IPV4, packet)
    return forge.ethernet(HOST, BOX, forge.IPV6, forge.ipv6(source, to, forge.UDP, datagram))


def tcp(payload: bytes, port: int = 443, sequence: int = 1, flags: int = 0x18) -> bytes:
    segment = forge.tcp((BOX4, 40000), (HOST4, port), sequence, payload, flags)
    return forge.ethernet(HOST, BOX, forge.IPV4, forge.ipv4(BOX4, HOST4, forge.TCP, segment))


def icmp6(kind: int, rest: bytes, source: str = BOX6, hops: int = 255) -> bytes:
    message = forge.icmp6(source, HOST6, kind, rest)
    packet = forge.ipv6(source, HOST6, forge.ICMP6, message, hops)
    return forge.ethernet(HOST, BOX, forge.IPV6, packet)


def dhcp(payload: bytes, to: str = "255.255.255.255") -> bytes:
    datagram = forge.udp(("0.0.0.0", 68), (to, 67), payload)
    packet = forge.ipv4("0.0.0.0", to, forge.UDP, datagram)
    return forge.ethernet(forge.ALL4, BOX, forge.IPV4, packet)


def dhcp6(payload: bytes, to: str = "ff02::1:2") -> bytes:
    packet = forge.ipv6(LINK6, to, forge.UDP, forge.udp((LINK6, 546), (to, 547), payload))
    return forge.ethernet(forge.multicast("ff02::1:2"), BOX, forge.IPV6, packet)


def arp(sender: str) -> bytes:
    question = forge.arp(1, (BOX, sender), (bytes(6), HOST4))
    return forge.ethernet(forge.ALL4, BOX, forge.ARP, question)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        *((udp(wireguard(*each)), Kind.WIREGUARD) for each in ((1, 148), (2, 92), (3, 64))),
        *((udp(wireguard(4, 32 + inner)), Kind.WIREGUARD) for inner in (0, 16, 96, 1280, 1420)),
        (udp(wireguard(1, 148), source=BOX6), Kind.WIREGUARD),
        (tcp(b"", flags=2), Kind.CENTRE),
        (tcp(HELLO), Kind.CENTRE),
        (tcp(HELLO, port=8443), Kind.CARRIER),
        (arp(BOX4), Kind.NEIGHBOUR),
        (arp("0.0.0.0"), Kind.NEIGHBOUR),
        (icmp6(135, NEIGHBOUR), Kind.NEIGHBOUR),
        (icmp6(136, NEIGHBOUR + b"\x02\x01" + BOX, LINK6), Kind.NEIGHBOUR),
        (icmp6(135, NEIGHBOUR, "::"), Kind.NEIGHBOUR),
        (icmp6(135, NEIGHBOUR + b"\x01\x01" + BOX + b"\x0e\x01" + BOX), Kind.NEIGHBOUR),
        (icmp6(133, bytes(4), LINK6), Kind.SETTING_UP),
        (dhcp(DHCP), Kind.DHCP),
        (dhcp(DHCP, HOST4), Kind.DHCP),
        (dhcp6(bytes((1, 0, 0, 1))), Kind.DHCP),
    ],
)
def test_what_may_leave_is_known_for_what_it_is(frame: bytes, kind: Kind) -> None:
    assert Classifier(ALLOWED).kind(frame) is kind


@pytest.mark.parametrize(
    "frame",
    [
        udp(b"words"),
        udp(b""),
        udp(wireguard(1, 149)),
        udp(wireguard(2, 148)),
        udp(wireguard(4, 31)),
        udp(wireguard(4, 33)),
        udp(wireguard(5, 64)),
        udp(b"\x01\0\0\x01" + bytes(144)),
        udp(wireguard(1, 148), port=51821),
        udp(wireguard(1, 148), port=53),
        udp(wireguard(1, 148), source="192.0.2.9"),
        udp(wireguard(1, 148), source="10.77.0.2"),
        tcp(b"GET / HTTP/1.1"),
        tcp(HELLO, port=80),
        tcp(b"", port=22, flags=2),
        arp("10.77.0.2"),
        icmp6(135, NEIGHBOUR, "2001:db8::9"),
        icmp6(135, NEIGHBOUR, hops=64),
        icmp6(135, NEIGHBOUR + b"\x02\0" + BOX),
        icmp6(135, NEIGHBOUR + b"\x02"),
        icmp6(135, NEIGHBOUR + b"\x01\x02" + bytes(14)),
        icmp6(135, NEIGHBOUR + b"\x63\x01" + BOX),
        icmp6(135, NEIGHBOUR + (b"\x01\x01" + BOX) * 2),
        icmp6(135, NEIGHBOUR[:-1]),
        icmp6(137, bytes(36)),
        icmp6(128, bytes(4)),
        icmp6(1, bytes(44)),
        dhcp(b"words"),
        dhcp(b"\x02" + DHCP[1:]),
        dhcp(DHCP[:236] + bytes(8)),
        dhcp6(b""),
        dhcp6(bytes((0, 0, 0, 1))),
        dhcp6(bytes((1, 0, 0, 1)), HOST6),
    ],
)
def test_everything_else_is_a_leak(frame: bytes) -> None:
    parse(frame)  # it is not the form that is refused
    with pytest.raises(DecodeError):
        Classifier(ALLOWED).kind(frame)


def test_without_dhcp_its_frames_are_leaks() -> None:
    static = dataclasses.replace(ALLOWED, dhcp=False)
    for frame in (dhcp(DHCP), dhcp6(bytes((1, 0, 0, 1)))):
        with pytest.raises(DecodeError):
            Classifier(static).kind(frame)


def test_a_connection_stays_tls_to_its_end() -> None:
    classifier = Classifier(ALLOWED)
    classifier.kind(tcp(b"", sequence=99, flags=2))
    classifier.kind(tcp(HELLO, sequence=100))
    classifier.kind(tcp(b"\x17\x03\x03\x00\x06abc", sequence=109))
    classifier.kind(tcp(b"def", sequence=117))
    with pytest.raises(DecodeError):
        classifier.kind(tcp(b"STARTPLAIN", sequence=120))


def test_data_behind_a_gap_is_not_taken_for_read() -> None:
    classifier = Classifier(ALLOWED)
    classifier.kind(tcp(b"", sequence=99, flags=2))
    classifier.kind(tcp(HELLO, sequence=100))
    assert not classifier.unread
    classifier.kind(tcp(b"GET /", sequence=110))
    assert classifier.unread
    with pytest.raises(DecodeError, match="gap"):  # nor does a new connection make it forgotten
        classifier.kind(tcp(b"", sequence=99, flags=2))


@given(st.binary(max_size=200), st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x08\x06"]))
def test_any_frame_is_allowed_or_a_leak(body: bytes, ethertype: bytes) -> None:
    try:
        kind = Classifier(ALLOWED).kind(HOST + BOX + ethertype + body)
    except DecodeError:
        return
    assert isinstance(kind, Kind)
