"""The one thing that changes in the walls: who the tunnel may speak to, as nftables' netlink bytes.

A batch is one transaction over every table that names the endpoint: all sets or none. Set elements
only: re-creating base chains let 17 of 200 swaps leak.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final

from sdbox_agent.tunnel.netlink import NLM_F_CREATE, Request, attribute, nested, text

if TYPE_CHECKING:
    from sdbox_agent.tunnel.config import Endpoint

# ours: names that `killswitch` gives
TABLE: Final = "sdbox"
VERSIONS: Final = (4, 6)


@enum.unique
class Protocol(enum.Enum):
    """What carries the tunnel, one at a time; its value names its sets."""

    UDP = "endpoint"  # WireGuard's own packets, known by their mark
    TCP = "carrier"  # WireGuard over TLS, known by the carrier's user


def set_name(protocol: Protocol, version: int) -> str:
    """The set of endpoints of one protocol and one IP version."""
    return f"{protocol.value}{version}"


# <linux/netfilter/nfnetlink.h>, <linux/netfilter/nf_tables.h>, <linux/netfilter.h>
BATCH_BEGIN: Final = Request(0x10, 0, struct.pack("!BBH", 0, 0, 10))  # res_id: NFNL_SUBSYS_NFTABLES
BATCH_END: Final = Request(0x11, 0, struct.pack("!BBH", 0, 0, 10))
_NEWSETELEM: Final = (10 << 8) | 12
_DELSETELEM: Final = (10 << 8) | 14
NFPROTO_INET: Final = 1
NFPROTO_NETDEV: Final = 5
FAMILIES: Final = (NFPROTO_INET, NFPROTO_NETDEV)  # both tables of the walls
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_LIST_ELEM: Final = 1
_ELEM_KEY: Final = 1
_DATA_VALUE: Final = 1


def _head(family: int, protocol: Protocol, version: int) -> bytes:
    return (
        struct.pack("!BBH", family, 0, 0)
        + text(_LIST_TABLE, TABLE)
        + text(_LIST_SET, set_name(protocol, version))
    )


def clear(families: tuple[int, ...] = FAMILIES) -> list[Request]:
    """Empty every set of endpoints."""
    return [
        Request(_DELSETELEM, 0, _head(family, protocol, version))
        for family in families
        for protocol in Protocol
        for version in VERSIONS
    ]


def allow(endpoint: Endpoint, protocol: Protocol = Protocol.UDP) -> list[Request]:
    """Make `endpoint` the only one, over `protocol` and nothing else."""
    port = struct.pack("!HH", endpoint.port, 0)  # concatenated keys are padded to four bytes each
    value = attribute(_DATA_VALUE, endpoint.address.packed + port)
    element = nested(_LIST_ELEM, nested(_ELEM_KEY, value))
    return clear() + [
        Request(
            _NEWSETELEM,
            NLM_F_CREATE,
            _head(family, protocol, endpoint.address.version) + nested(_LIST_ELEMENTS, element),
        )
        for family in FAMILIES
    ]
