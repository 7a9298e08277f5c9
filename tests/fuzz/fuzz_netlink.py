"""The kernel's answers."""

import contextlib
import struct

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import conntrack, netlink, rtnetlink

PARSERS = (
    netlink.parse,
    netlink.attributes,
    netlink.errno,
    rtnetlink.parse_link,
    conntrack.parse_flow,
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


SEEDS: list[bytes] = [
    netlink.frame(rtnetlink.raise_up(1), 1, 0),
    netlink.frame(rtnetlink.links(), 1, 0),
    _link(netlink.text(3, "sdbox0")),
    _link(netlink.text(3, "sdbox0") + netlink.attribute(23, bytes(192))),
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
    """Links, error numbers, flows, or DecodeError."""
    with contextlib.suppress(DecodeError):
        for reply in netlink.parse(data):
            for read in (rtnetlink.parse_link, netlink.errno, conntrack.parse_flow):
                with contextlib.suppress(DecodeError):
                    read(reply)
