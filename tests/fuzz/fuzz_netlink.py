"""The kernel's answers."""

import contextlib
import struct

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import conntrack, netlink, rtnetlink, standing

PARSERS = (
    netlink.parse,
    netlink.attributes,
    netlink.errno,
    rtnetlink.parse_link,
    rtnetlink.parse_address,
    conntrack.parse_flow,
    standing.generation,
    standing.read,
)


def _link(name: bytes) -> bytes:
    return netlink.frame(netlink.Request(16, 0, bytes(16) + name), 1, 0)


def _flow(protocol: int, kind: int, host: bytes) -> bytes:
    """As the connection tracker tells of one."""
    ports = netlink.attribute(2, b"\x9c\x40") + netlink.attribute(3, b"\xca\x6c")
    there = netlink.nested(
        1,
        netlink.nested(1, netlink.attribute(kind, host)),
        netlink.nested(2, netlink.attribute(1, bytes([protocol])), ports),
    )
    body = bytes(4) + there + netlink.attribute(3, bytes([0, 0, 0, 2]))
    return netlink.frame(netlink.Request(0x100, 0, body), 1, 0)


def _address(kind: int, prefix: int, host: bytes) -> bytes:
    body = bytes([2, prefix]) + bytes(6) + netlink.attribute(kind, host)
    return netlink.frame(netlink.Request(20, 0, body), 1, 0)


def _walls() -> bytes:
    """As nf_tables tells of walls that stand: tables, chains, a rule of each."""
    ours = netlink.text(1, "sdbox")
    bodies = [bytes([family, 0, 0, 0]) + ours for family in (1, 5)]
    for name in ("input", "output", "forward"):
        bodies.append(bodies[0] + netlink.text(3, name) + netlink.attribute(5, bytes(4)))
    bodies += [bodies[1] + netlink.text(3, name) for name in ("leaving", "mine")]
    bodies.append(bodies[1] + netlink.text(3, "egress-eth0") + netlink.attribute(5, bytes(4)))
    bodies += [bodies[0] + netlink.text(2, "output"), bodies[1] + netlink.text(2, "egress-eth0")]
    bodies.append(bytes(4) + netlink.attribute(1, bytes(4)))
    return b"".join(netlink.frame(netlink.Request(0xA00, 0, body), 1, 0) for body in bodies)


SEEDS: list[bytes] = [
    netlink.frame(rtnetlink.raise_up(1), 1, 0),
    netlink.frame(rtnetlink.links(), 1, 0),
    _link(netlink.text(3, "sdbox0")),
    _link(netlink.text(3, "sdbox0") + netlink.attribute(23, bytes(192))),
    _address(1, 24, bytes(4)),
    _address(1, 64, bytes(16)),
    _address(1, 33, bytes(4)),
    _address(2, 24, bytes(4)),
    _walls(),
    _walls().replace(b"leaving", b"staying"),
    _flow(17, 2, bytes(4)),
    _flow(17, 4, bytes(16)),
    _flow(17, 4, bytes(5)),
    _flow(6, 2, bytes(4)),
    _link(netlink.text(3, "")),
    _link(netlink.text(3, "sdbox0") + netlink.nested(26, netlink.nested(10))),
    _link(b"\1"),
    _link(struct.pack("=HH", 3, 3)),
    _link(struct.pack("=HH", 200, 3)),
    netlink.frame(netlink.Request(netlink.NLMSG_ERROR, 0, struct.pack("=i", -1)), 1, 0),
    netlink.frame(netlink.Request(netlink.NLMSG_ERROR, 0, b"\1"), 1, 0),
    netlink.frame(rtnetlink.links(), 1, 0) * 2,
    bytes(15),
    bytes(16),
    b"\xff" * 16,
]


def target(data: bytes) -> None:
    """Links, addresses, error numbers, flows, walls, or DecodeError."""
    with contextlib.suppress(DecodeError):
        replies = netlink.parse(data)
        for reply in replies:
            for read in (
                rtnetlink.parse_link,
                rtnetlink.parse_address,
                netlink.errno,
                conntrack.parse_flow,
                standing.generation,
            ):
                with contextlib.suppress(DecodeError):
                    read(reply)
        standing.read(replies, replies, replies)
