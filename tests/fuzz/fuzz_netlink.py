"""The kernel's answers."""

import contextlib
import struct

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import netlink, rtnetlink

PARSERS = (netlink.parse, netlink.attributes, netlink.errno, rtnetlink.parse_link)


def _link(name: bytes) -> bytes:
    return netlink.frame(netlink.Request(16, 0, bytes(16) + name), 1, 0)


SEEDS: list[bytes] = [
    netlink.frame(rtnetlink.raise_up(1), 1, 0),
    netlink.frame(rtnetlink.links(), 1, 0),
    _link(netlink.text(3, "sdbox0")),
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
    """Links, error numbers, or DecodeError."""
    with contextlib.suppress(DecodeError):
        for reply in netlink.parse(data):
            for read in (rtnetlink.parse_link, netlink.errno):
                with contextlib.suppress(DecodeError):
                    read(reply)
