"""One Ethernet frame, read strictly: ARP, or one whole IP packet with what it carries.

What a witness may let pass has to be understood to the last byte: options, extension headers,
fragments, a wrong header checksum or bytes after the packet are errors. Knows no meaning of what is
carried, and no transport checksum: a virtual cable never computes them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from sdbox_agent.errors import DecodeError

# IEEE 802.3
HEADER_BYTES: Final = 14
_SHORTEST_BYTES: Final = 60  # without its check sequence: shorter ones are padded
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
# RFC 791 3.1, RFC 8200 3, RFC 826
_IPV4_HEADER: Final = struct.Struct("!BBHHHBBH4s4s")
_IPV6_HEADER: Final = struct.Struct("!IHBB16s16s")
_ARP_BODY: Final = struct.Struct("!HHBBH6s4s6s4s")
_DONT_FRAGMENT: Final = 0x4000
# Assigned protocol numbers; RFC 768, RFC 9293 3.1, RFC 4443 2.1
TCP: Final = 6
UDP: Final = 17
ICMP6: Final = 58
_UDP_HEADER: Final = struct.Struct("!HHHH")
_TCP_HEADER: Final = struct.Struct("!HHIIBBHHH")
_FIN, _SYN, _RST = 1, 2, 4

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Arp:
    """A question or an answer, IPv4 over Ethernet."""

    sender: IPv4Address


@dataclass(frozen=True, slots=True)
class Datagram:
    """UDP."""

    source: Address
    destination: Address
    source_port: int
    port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """TCP. `sequence` is that of the first byte of `payload`."""

    source: Address
    destination: Address
    source_port: int
    port: int
    sequence: int
    begins: bool  # SYN
    payload: bytes


@dataclass(frozen=True, slots=True)
class Icmp6:
    """ICMPv6, with the hop limit that says whether it comes from this very link."""

    source: Address
    destination: Address
    hops: int
    kind: int
    code: int
    payload: bytes  # after type, code, checksum


@dataclass(frozen=True, slots=True)
class Report:
    """MLD (RFC 3810 5): a multicast report behind its router alert."""


Packet = Arp | Datagram | Segment | Icmp6 | Report


def parse(frame: bytes) -> Packet:
    """What the frame is. Raises DecodeError for all that can't be understood to its last byte."""
    if len(frame) < HEADER_BYTES:
        raise DecodeError("frame cut short")
    ethertype, body = int.from_bytes(frame[12:14], "big"), frame[HEADER_BYTES:]
    padded = len(frame) <= _SHORTEST_BYTES
    match ethertype:
        case 0x0806:
            return _arp(_without_padding(body, _ARP_BODY.size, padded=padded))
        case 0x0800:
            return _ipv4(body, padded=padded)
        case 0x86DD:
            return _ipv6(body, padded=padded)
        case _:
            raise DecodeError("ethertype neither ARP nor IP")


def _without_padding(body: bytes, length: int, *, padded: bool) -> bytes:
    rest = body[length:]
    if len(body) < length or (rest and not padded) or any(rest):
        raise DecodeError("frame and packet differ in length")
    return body[:length]


def _arp(body: bytes) -> Arp:
    hardware, protocol, *sizes, operation, _, sender, _, _ = _ARP_BODY.unpack(body)
    if (hardware, protocol, *sizes) != (1, _IPV4, 6, 4) or operation not in {1, 2}:
        raise DecodeError("not an ARP question or answer")
    return Arp(IPv4Address(sender))


def _ipv4(body: bytes, *, padded: bool) -> Packet:
    if len(body) < _IPV4_HEADER.size:
        raise DecodeError("IPv4 header cut short")
    first, _, length, _, fragment, _, protocol, _, source, destination = _IPV4_HEADER.unpack_from(
        body
    )
    if first != 0x45:
        raise DecodeError("not IPv4, or with options")
    if fragment & ~_DONT_FRAGMENT:
        raise DecodeError("fragment")
    if _sum(body[: _IPV4_HEADER.size]) != 0xFFFF:
        raise DecodeError("IPv4 header checksum")
    if length < _IPV4_HEADER.size:
        raise DecodeError("IPv4 packet shorter than its header")
    content = _without_padding(body, length, padded=padded)[_IPV4_HEADER.size :]
    return _content(IPv4Address(source), IPv4Address(destination), protocol, 0, content)


def _ipv6(body: bytes, *, padded: bool) -> Packet:
    if len(body) < _IPV6_HEADER.size:
        raise DecodeError("IPv6 header cut short")
    first, length, following, hops, source, destination = _IPV6_HEADER.unpack_from(body)
    if first >> 28 != 6:
        raise DecodeError("not IPv6")
    whole = _without_padding(body, _IPV6_HEADER.size + length, padded=padded)
    content = whole[_IPV6_HEADER.size :]
    if following == 0:
        return _report(content)
    return _content(IPv6Address(source), IPv6Address(destination), following, hops, content)


def _report(content: bytes) -> Report:
    """RFC 2710 3: one hop-by-hop header of eight bytes with a router alert, then ICMPv6."""
    if content[:8] != bytes((ICMP6, 0, 5, 2, 0, 0, 1, 0)) or content[8:9] != b"\x8f":
        raise DecodeError("extension header")
    return Report()


def _content(
    source: Address, destination: Address, protocol: int, hops: int, content: bytes
) -> Packet:
    if protocol == UDP and len(content) >= _UDP_HEADER.size:
        source_port, port, length, _ = _UDP_HEADER.unpack_from(content)
        if length != len(content):
            raise DecodeError("UDP and IP differ in length")
        return Datagram(source, destination, source_port, port, content[_UDP_HEADER.size :])
    if protocol == TCP and len(content) >= _TCP_HEADER.size:
        return _segment(source, destination, content)
    if protocol == ICMP6 and len(content) >= 4 and source.version == 6:
        return Icmp6(source, destination, hops, content[0], content[1], content[4:])
    raise DecodeError("neither UDP, TCP nor ICMPv6")


def _segment(source: Address, destination: Address, content: bytes) -> Segment:
    source_port, port, sequence, _, offset, flags, *_ = _TCP_HEADER.unpack_from(content)
    header_bytes = 4 * (offset >> 4)
    if not _TCP_HEADER.size <= header_bytes <= len(content):
        raise DecodeError("TCP header length")
    begins = bool(flags & _SYN)
    first = (sequence + begins) % 2**32  # a SYN takes a number of its own
    payload = content[header_bytes:]
    if flags & _RST and payload:
        raise DecodeError("TCP reset with data")
    return Segment(source, destination, source_port, port, first, begins, payload)


def _sum(header: bytes) -> int:
    """RFC 1071, over an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
