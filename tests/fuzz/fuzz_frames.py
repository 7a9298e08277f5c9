"""Frames on the rig's cable: a leak that looks like something else must not stop the oracle."""

import contextlib
from ipaddress import ip_address

from hil.net import allowed, forge, packet, tls
from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import parse_endpoint

PARSERS = (packet.parse, allowed.Classifier.kind, tls.Records.add)

_BOX4, _HOST4, _BOX6, _HOST6 = "192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1"
_ALLOWED = allowed.Allowed(
    own=frozenset(map(ip_address, (_BOX4, _BOX6))),
    centre=frozenset({parse_endpoint(f"{_HOST4}:443")}),
    gateways=frozenset({parse_endpoint(f"{_HOST4}:51820")}),
    dhcp=True,
)
_MACS = bytes(12)


def _v4(protocol: int, content: bytes) -> bytes:
    return _MACS + b"\x08\x00" + forge.ipv4(_BOX4, _HOST4, protocol, content)


def _v6(following: int, content: bytes) -> bytes:
    return _MACS + b"\x86\xdd" + forge.ipv6(_BOX6, _HOST6, following, content)


def _tcp(sequence: int, payload: bytes, flags: int = 0x18) -> bytes:
    return _v4(forge.TCP, forge.tcp((_BOX4, 9), (_HOST4, 443), sequence, payload, flags))


def _udp(source: int, port: int, payload: bytes) -> bytes:
    return _v4(forge.UDP, forge.udp((_BOX4, source), (_HOST4, port), payload))


_HELLO = b"\x16\x03\x01\x00\x04abcd"
_DHCP = b"\x01\x01\x06" + bytes(233) + bytes((99, 130, 83, 99)) + b"\xff"
SEEDS: list[bytes] = [
    _MACS + b"\x08\x06" + forge.arp(1, (bytes(6), _BOX4), (bytes(6), _HOST4)),
    _udp(9, 51820, b"\x01\0\0\0" + bytes(144)),
    _udp(9, 51820, b"\x04\0\0\0" + bytes(28)),
    _udp(68, 67, _DHCP),
    _udp(9, 53, b"name"),
    _tcp(0, b"", forge.SYN),
    _tcp(1, _HELLO),
    _tcp(1, b"GET /"),
    _tcp(1, b"", 4),
    _v4(1, bytes(8)),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 135, bytes(20))),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 135, bytes(20) + b"\x01\x01" + bytes(6))),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 133, bytes(4))),
    _v6(forge.UDP, forge.udp((_BOX6, 546), ("ff02::1:2", 547), b"\x01\0\0\0")),
    _v6(0, bytes((58, 0, 5, 2, 0, 0, 1, 0)) + b"\x8f" + bytes(27)),
    _MACS + b"\x88\xb5",
    b"",
]


def target(data: bytes) -> None:
    """Frames, and a stream cut at its own bytes: a kind, or DecodeError."""
    classifier = allowed.Classifier(_ALLOWED)
    with contextlib.suppress(DecodeError):
        classifier.kind(data)
    with contextlib.suppress(DecodeError):
        classifier.kind(_tcp(0, b"", forge.SYN))
        for at in range(0, min(len(data), 64), 7):
            classifier.kind(_tcp(1 + at, data[at : at + 9]))
