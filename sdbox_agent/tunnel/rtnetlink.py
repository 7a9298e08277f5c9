"""Links, addresses and routes in rtnetlink's bytes (rtnetlink(7)): the requests a tunnel needs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    Reply,
    Request,
    attribute,
    attributes,
    nested,
    text,
)

if TYPE_CHECKING:
    from sdbox_agent.tunnel.config import Interface

# <linux/rtnetlink.h>
RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
_RT_TABLE_MAIN: Final = 254
_RTPROT_STATIC: Final = 4
_RT_SCOPE_LINK: Final = 253
_RTN_UNICAST: Final = 1
_RTA_OIF: Final = 4
# <linux/if_link.h>, <linux/if_addr.h>, <linux/if.h>
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_LINKINFO: Final = 18
_IFLA_STATS64: Final = 23
_IFLA_AF_SPEC: Final = 26
_IFLA_NET_NS_FD: Final = 28
_IFLA_INFO_KIND: Final = 1
_IFLA_INET6_ADDR_GEN_MODE: Final = 8
_IN6_ADDR_GEN_MODE_NONE: Final = 1
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_F_NODAD: Final = 2
_IFF_UP: Final = 1
_AF_INET: Final = 2
_AF_INET6: Final = 10
RTMGRP_LINK: Final = 1  # <linux/rtnetlink.h>: a link has come, changed or gone
_FAMILY: Final = {4: _AF_INET, 6: _AF_INET6}
_IFINFOMSG: Final = struct.Struct("=BBHiII")  # family, pad, type, index, flags, change mask
_IFADDRMSG: Final = struct.Struct("=BBBBi")  # family, prefix, flags, scope, index
_STATS64: Final = struct.Struct("=QQQQ")  # packets received and sent, bytes received and sent; …
_RTMSG: Final = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, proto, scope, type, fl.


@dataclass(frozen=True, slots=True)
class Link:
    """One interface of a namespace."""

    index: int
    name: str
    up: bool
    received_bytes: int
    sent_bytes: int


def links() -> Request:
    """Ask for every link."""
    return Request(RTM_GETLINK, NLM_F_DUMP, _IFINFOMSG.pack(0, 0, 0, 0, 0, 0))


def add(name: str, kind: str, namespace: int) -> Request:
    """Make a link in the namespace that descriptor `namespace` names.

    WireGuard's then lies there, and its UDP socket in the namespace that this is said in.
    """
    return Request(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        _IFINFOMSG.pack(0, 0, 0, 0, 0, 0)
        + text(_IFLA_IFNAME, name)
        + attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace))
        + nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, kind)),
    )


def move(index: int, namespace: int) -> Request:
    """Move a link into the namespace that descriptor `namespace` names."""
    return Request(
        RTM_NEWLINK,
        0,
        _IFINFOMSG.pack(0, 0, 0, index, 0, 0)
        + attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace)),
    )


def be_quiet(index: int) -> Request:
    """No IPv6 link-local address, so no router solicitation. Said before `raise_up`.

    A message of its own: in one that says both, the kernel raises the link first.
    """
    mode = attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes([_IN6_ADDR_GEN_MODE_NONE]))
    return Request(
        RTM_NEWLINK,
        0,
        _IFINFOMSG.pack(0, 0, 0, index, 0, 0) + nested(_IFLA_AF_SPEC, nested(_AF_INET6, mode)),
    )


def raise_up(index: int) -> Request:
    """Set a link up."""
    return Request(RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, 0, index, _IFF_UP, _IFF_UP))


def set_mtu(index: int, mtu_bytes: int) -> Request:
    """Set how large a link's packets may be. Below 1280, the kernel takes IPv6 off it."""
    return Request(
        RTM_NEWLINK,
        0,
        _IFINFOMSG.pack(0, 0, 0, index, 0, 0) + attribute(_IFLA_MTU, struct.pack("=I", mtu_bytes)),
    )


def lower(index: int) -> Request:
    """Set a link down."""
    return Request(RTM_NEWLINK, 0, _IFINFOMSG.pack(0, 0, 0, index, 0, _IFF_UP))


def delete(index: int) -> Request:
    """Delete a link."""
    return Request(RTM_DELLINK, 0, _IFINFOMSG.pack(0, 0, 0, index, 0, 0))


def add_address(index: int, address: Interface) -> Request:
    """Give a link an address."""
    flags = _IFA_F_NODAD if address.version == 6 else 0
    prefix = address.network.prefixlen
    return Request(
        RTM_NEWADDR,
        NLM_F_CREATE | NLM_F_EXCL,
        _IFADDRMSG.pack(_FAMILY[address.version], prefix, flags, 0, index)
        + attribute(_IFA_LOCAL, address.ip.packed)
        + attribute(_IFA_ADDRESS, address.ip.packed),
    )


def addresses() -> Request:
    """Ask for every address."""
    return Request(RTM_GETADDR, NLM_F_DUMP, _IFADDRMSG.pack(0, 0, 0, 0, 0))


def default_route(index: int, version: int) -> Request:
    """Send everything of one family into a link."""
    kind = (_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_LINK if version == 4 else 0, _RTN_UNICAST)
    return Request(
        RTM_NEWROUTE,
        NLM_F_CREATE | NLM_F_EXCL,
        _RTMSG.pack(_FAMILY[version], 0, 0, 0, *kind, 0)
        + attribute(_RTA_OIF, struct.pack("=i", index)),
    )


def parse_link(reply: Reply) -> Link:
    """One answer to `links`. Raises DecodeError."""
    if reply.kind != RTM_NEWLINK or len(reply.body) < _IFINFOMSG.size:
        raise DecodeError("not a link")
    _, _, _, index, flags, _ = _IFINFOMSG.unpack_from(reply.body)
    fields = attributes(reply.body[_IFINFOMSG.size :])
    name, counters = fields.get(_IFLA_IFNAME, b""), fields.get(_IFLA_STATS64, b"")
    if not 2 <= len(name) <= 16 or name[-1] != 0 or len(counters) < _STATS64.size:
        raise DecodeError("not a link's name and counters")
    _, _, received, sent = _STATS64.unpack_from(counters)
    up = bool(flags & _IFF_UP)
    return Link(index, name[:-1].decode("utf-8", "replace"), up, received, sent)


def parse_address(reply: Reply) -> Interface:
    """One answer to `addresses`. Raises DecodeError."""
    if reply.kind != RTM_NEWADDR or len(reply.body) < _IFADDRMSG.size:
        raise DecodeError("not an address")
    _, prefix, _, _, _ = _IFADDRMSG.unpack_from(reply.body)
    told = attributes(reply.body[_IFADDRMSG.size :])
    try:  # over a line to one neighbour, IFA_ADDRESS is the neighbour's: its prefix is ours too
        return ip_interface((told.get(_IFA_ADDRESS, b""), prefix))
    except ValueError:
        raise DecodeError("not an address") from None
