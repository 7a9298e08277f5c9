"""What the kernel remembers of the box's own flows, in ctnetlink's bytes: did anything come back?

WireGuard says nothing of packets it can't use; the connection tracker that the walls stand on does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import Endpoint
from sdbox_agent.tunnel.netlink import NLM_F_DUMP, Request, attributes

if TYPE_CHECKING:
    from sdbox_agent.tunnel.netlink import Reply

# <linux/netfilter/nfnetlink_conntrack.h>, nf_conntrack_common.h, <linux/socket.h>
_NEW: Final = 1 << 8 | 0  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW
_GET: Final = 1 << 8 | 1
_FAMILY: Final = {4: 2, 6: 10}
_CTA_TUPLE_ORIG, _CTA_STATUS = 1, 3
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_CTA_IP_DST: Final = (2, 4)  # IPv4, IPv6
_CTA_PROTO_NUM, _CTA_PROTO_SRC_PORT, _CTA_PROTO_DST_PORT = 1, 2, 3
_IPS_SEEN_REPLY: Final = 1 << 1
_UDP: Final = 17


@dataclass(frozen=True, slots=True)
class Flow:
    """One UDP flow that this box began."""

    source_port: int
    destination: Endpoint
    answered: bool


def flows(version: int) -> Request:
    """Ask for every flow of one family."""
    return Request(_GET, NLM_F_DUMP, struct.pack("!BBH", _FAMILY[version], 0, 0))


def parse_flow(reply: Reply) -> Flow | None:
    """One answer to `flows`; None for what is not UDP. Raises DecodeError."""
    if reply.kind != _NEW:
        raise DecodeError("not a flow")
    try:
        fields = attributes(reply.body[4:])
        there = attributes(fields[_CTA_TUPLE_ORIG])
        protocol = attributes(there[_CTA_TUPLE_PROTO])
        if protocol[_CTA_PROTO_NUM] != bytes([_UDP]):
            return None
        hosts = attributes(there[_CTA_TUPLE_IP])
        (host,) = (hosts[kind] for kind in _CTA_IP_DST if kind in hosts)
        source, port, status = (
            int.from_bytes(each, "big")
            for each in (
                protocol[_CTA_PROTO_SRC_PORT],
                protocol[_CTA_PROTO_DST_PORT],
                fields[_CTA_STATUS],
            )
        )
        return Flow(source, Endpoint(ip_address(host), port), bool(status & _IPS_SEEN_REPLY))
    except (KeyError, ValueError):
        raise DecodeError("not a whole flow") from None
