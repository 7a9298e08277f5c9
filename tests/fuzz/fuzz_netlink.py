"""The kernel's answers."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import netlink, rtnetlink

SEEDS: list[bytes] = [
    netlink.frame(rtnetlink.raise_up(1), 1, 0),
    netlink.frame(rtnetlink.links(), 1, 0),
    netlink.frame(
        netlink.Request(16, 0, bytes(16) + netlink.text(3, "sdbox0")), 1, netlink.NLM_F_ACK
    ),
]


def target(data: bytes) -> None:
    """Links, error numbers, or DecodeError."""
    with contextlib.suppress(DecodeError):
        for reply in netlink.parse(data):
            for read in (rtnetlink.parse_link, netlink.errno):
                with contextlib.suppress(DecodeError):
                    read(reply)
