"""Frames on the rig's cable: a leak that looks like something else must not stop the oracle."""

import contextlib
from ipaddress import ip_address

from hil.net import allowed, forge, packet, tls
from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import parse_endpoint

PARSERS = (packet, allowed, tls)

_BOX4, _HOST4, _BOX6, _HOST6 = "192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1"
_LINK6, _SERVERS6 = "fe80::2", "ff02::1:2"
_ALLOWED = allowed.Allowed(
    own=frozenset(map(ip_address, (_BOX4, _BOX6))),
    centre=frozenset({parse_endpoint(f"{_HOST4}:443")}),
    gateways=frozenset({parse_endpoint(f"{_HOST4}:51820")}),
    dhcp=True,
)
_MACS = bytes(12)


def _v4(protocol: int, content: bytes) -> bytes:
    return _MACS + b"\x08\x00" + forge.ipv4(_BOX4, _HOST4, protocol, content)


def _v6(following: int, content: bytes, source: str = _BOX6, to: str = _HOST6) -> bytes:
    return _MACS + b"\x86\xdd" + forge.ipv6(source, to, following, content)


def _tcp(sequence: int, payload: bytes, flags: int = 0x18) -> bytes:
    return _v4(forge.TCP, forge.tcp((_BOX4, 9), (_HOST4, 443), sequence, payload, flags))


def _udp(source: int, port: int, payload: bytes) -> bytes:
    return _v4(forge.UDP, forge.udp((_BOX4, source), (_HOST4, port), payload))


def _with(frame: bytes, at: int, value: bytes) -> bytes:
    return frame[:at] + value + frame[at + len(value) :]


_ASKED = frozenset({b"CONNECT one\r\n\r\n", b"CONNECT two\r\n\r\n"})
_HELLO = b"\x16\x03\x01\x00\x04abcd"
_DHCP = b"\x01\x01\x06" + bytes(233) + bytes((99, 130, 83, 99)) + b"\xff"
_REPORT = bytes((58, 0, 5, 2, 0, 0, 1, 0)) + b"\x8f" + bytes(27)
_ARP = _MACS + b"\x08\x06" + forge.arp(1, (bytes(6), _BOX4), (bytes(6), _HOST4))
_INITIATION = _udp(9, 51820, b"\x01\0\0\0" + bytes(144))
_HEADER = _INITIATION[:14]
_SHORTER = bytes.fromhex("45000013000040004011b6d6c0000202c0000201")  # says 19 bytes
_SOLICIT = bytes(20)
SEEDS: list[bytes] = [
    # what may leave
    _ARP,
    _INITIATION,
    _udp(9, 51820, b"\x04\0\0\0" + bytes(28)),
    _udp(68, 67, _DHCP),
    _v6(
        forge.UDP,
        forge.udp((_LINK6, 546), (_SERVERS6, 547), b"\x01\0\0\0"),
        _LINK6,
        _SERVERS6,
    ),
    _tcp(0, b"", forge.SYN),
    _tcp(1, _HELLO),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 135, _SOLICIT)),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 135, _SOLICIT + b"\x01\x01" + bytes(6))),
    _v6(forge.ICMP6, forge.icmp6(_LINK6, _HOST6, 133, bytes(4)), _LINK6),
    _v6(0, _REPORT),
    _ARP.ljust(60, b"\0"),
    # what may not
    _v6(forge.ICMP6, forge.icmp6(_HOST6, _BOX6, 135, _SOLICIT), _HOST6, _BOX6),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 128, bytes(4))),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 135, _SOLICIT + bytes(8))),
    _v6(forge.ICMP6, forge.icmp6(_BOX6, _HOST6, 135, _SOLICIT + b"\x01\x01" + bytes(5))),
    _udp(68, 67, b"words"),
    _udp(9, 51820, b"words"),
    _udp(9, 53, b"name"),
    _v4(forge.TCP, forge.tcp((_BOX4, 9), (_HOST4, 80), 0, b"", forge.SYN)),
    _tcp(1, b"GET /"),
    # what is no frame of either kind
    b"",
    _MACS + b"\x88\xb5",
    _with(_ARP, 21, b"\x09"),
    _ARP.ljust(60, b"\1"),
    _HEADER,
    _with(_INITIATION, 14, b"\x46"),
    _with(_INITIATION, 20, b"\x20"),
    _with(_INITIATION, 22, b"\1"),
    _HEADER + _SHORTER,
    _INITIATION + b"\0",
    _with(_INITIATION, 38, b"\0\1"),
    _tcp(1, b"data", 4),
    _with(_tcp(1, b""), 46, b"\x40"),
    _v4(1, bytes(8)),
    _v6(0, bytes(8)),
    _v6(0, b"")[:40],
    _with(_v6(17, bytes(8)), 14, b"\x40"),
    # streams
    b"CONNECT two\r\n\r\n" + _HELLO + b"\x17\x03\x03\x00\x01x",
    b"CONNECT three\r\n\r\n",
    _HELLO + b"\x17\x03\x03\x00\x01x",
    _HELLO + b"\x17\x03\x04\x00\x01x",
    b"\x16\x03\x01\x00\x08abcdefgh\x17\x03\x03\x00\x01x",  # a header in two segments
    bytes(range(100, 180)),
]


def target(data: bytes) -> None:
    """A frame; a stream in order; one scattered by its own bytes: a kind each, or DecodeError."""
    classifier = allowed.Classifier(_ALLOWED)
    with contextlib.suppress(DecodeError):
        classifier.kind(data)
    with contextlib.suppress(DecodeError):
        classifier.kind(_tcp(0, b"", forge.SYN))
        for at in range(0, min(len(data), 64), 7):
            classifier.kind(_tcp(1 + at, data[at : at + 9]))
    with contextlib.suppress(DecodeError):
        stream = tls.Records(0, _ASKED)
        for at in range(0, min(len(data), 64), 7):
            stream.add(at, data[at : at + 7])
    with contextlib.suppress(DecodeError):
        for at, offset in enumerate(data[:80]):
            classifier.kind(_tcp(1 + offset, data[at : at + 9]))
