"""What the kernel's WireGuard answers."""

import contextlib
import struct

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import netlink, wgnetlink
from sdbox_agent.tunnel.netlink import attribute, nested
from sdbox_agent.tunnel.uapi import MAX_ALLOWED_IPS, Device, Network

PARSERS = (wgnetlink.parse_part, wgnetlink.parse_family, wgnetlink.join)


def _peer(*more: bytes) -> bytes:
    return b"\x02\0\0\0" + nested(8, nested(0, attribute(1, bytes(32)), *more))


def _allowed(host: bytes, prefix: int, times: int = 1) -> bytes:
    return nested(9, nested(0, attribute(2, host), attribute(3, bytes([prefix]))) * times)


def _addresses(device: Device) -> list[Network]:
    return [each for peer in device.peers for each in peer.allowed_ips]


SEEDS: list[bytes] = [
    bytes(4) + attribute(1, struct.pack("=H", 28)),
    bytes(4) + attribute(3, bytes(32)) + attribute(6, bytes(2)) + attribute(7, bytes(4)),
    _peer(attribute(4, struct.pack("=H", 2) + bytes(14))),
    _peer(attribute(4, struct.pack("=H", 10) + bytes(26))),
    _peer(attribute(6, bytes(16)), attribute(7, bytes(8)), attribute(8, bytes(8))),
    _peer(attribute(6, b"\xff" * 16)),
    _peer(_allowed(bytes(4), 0)),
    _peer(_allowed(bytes(16), 128)),
    _peer(_allowed(bytes(4), 32, MAX_ALLOWED_IPS)),
    _peer(_allowed(bytes(4), 33)),
    _peer(_allowed(bytes(5), 1)),
    _peer(_allowed(b"\xff" * 4, 1)),
    bytes(4) + nested(8, nested(0, attribute(1, bytes(31)))),
    bytes(4) + attribute(6, bytes(3)),
    b"",
]


def target(data: bytes) -> None:
    """An interface in up to two parts (the first byte says how many), or DecodeError."""
    with contextlib.suppress(DecodeError):
        assert 0 <= wgnetlink.parse_family(netlink.Reply(0x10, 0, 1, data)) <= 0xFFFF
    with contextlib.suppress(DecodeError):
        part, times = wgnetlink.parse_part(memoryview(data)), (data[0] if data else 0) % 3
        device = wgnetlink.join([part] * times)
        assert (device.listen_port, device.fwmark) == (part.listen_port, part.fwmark)
        assert len(_addresses(device)) == times * len(_addresses(part))
