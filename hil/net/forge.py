"""Frames as anybody on the wire can make them, with every length and checksum right.

Layers wrap one another: `ethernet(..., IPV4, ipv4(..., UDP, udp(...)))`. Knows no purpose.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
ALL4: Final = b"\xff" * 6
SYN: Final = 2


def mac(text: str) -> bytes:
    """`02:00:00:00:00:01` as six bytes."""
    return bytes.fromhex(text.replace(":", ""))


def multicast(address: str) -> bytes:
    """RFC 2464 7: where IPv6 multicast goes on Ethernet."""
    return b"\x33\x33" + IPv6Address(address).packed[12:]


def ethernet(to: bytes, source: bytes, ethertype: int, body: bytes) -> bytes:
    """A frame, not padded."""
    return to + source + ethertype.to_bytes(2, "big") + body


def arp(operation: int, sender: tuple[bytes, str], target: tuple[bytes, str]) -> bytes:
    """RFC 826: 1 asks, 2 answers; both parties as hardware and IPv4 address."""
    parties = b"".join(mac + IPv4Address(address).packed for mac, address in (sender, target))
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + parties


def ipv4(source: str, to: str, protocol: int, content: bytes) -> bytes:
    """RFC 791 3.1, without options."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0x4000, 64, protocol, 0)
    head += IPv4Address(source).packed + IPv4Address(to).packed
    return head[:10] + _checksum(head) + head[12:] + content


def ipv6(source: str, to: str, following: int, content: bytes, hops: int = 255) -> bytes:
    """RFC 8200 3, without extension headers."""
    head = struct.pack("!IHBB", 6 << 28, len(content), following, hops)
    return head + IPv6Address(source).packed + IPv6Address(to).packed + content


def udp(source: tuple[str, int], to: tuple[str, int], payload: bytes) -> bytes:
    """RFC 768."""
    head = struct.pack("!HHH", source[1], to[1], 8 + len(payload))
    pseudo = _pseudo(source[0], to[0], UDP, 8 + len(payload))
    return head + _checksum(pseudo + head + b"\0\0" + payload) + payload


def tcp(
    source: tuple[str, int], to: tuple[str, int], sequence: int, payload: bytes, flags: int = 0x18
) -> bytes:
    """RFC 9293 3.1, without options."""
    head = struct.pack("!HHIIBBH", source[1], to[1], sequence % 2**32, 0, 0x50, flags, 64000)
    pseudo = _pseudo(source[0], to[0], TCP, 20 + len(payload))
    return head + _checksum(pseudo + head + bytes(4) + payload) + b"\0\0" + payload


def icmp(kind: int, code: int, rest: bytes) -> bytes:
    """RFC 792."""
    return bytes((kind, code)) + _checksum(bytes((kind, code, 0, 0)) + rest) + rest


def icmp6(source: str, to: str, kind: int, rest: bytes) -> bytes:
    """RFC 4443 2.1, code 0."""
    pseudo = _pseudo(source, to, ICMP6, 4 + len(rest))
    return bytes((kind, 0)) + _checksum(pseudo + bytes((kind, 0, 0, 0)) + rest) + rest


def _pseudo(source: str, to: str, protocol: int, length: int) -> bytes:
    addresses = ip_address(source).packed + ip_address(to).packed
    return addresses + struct.pack("!II", length, protocol)


def _checksum(data: bytes) -> bytes:
    """RFC 1071."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2, "big")
