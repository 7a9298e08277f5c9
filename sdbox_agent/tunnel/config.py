"""What a tunnel is to be, checked: from the core's `open_tunnel` to typed addresses.

Knows which grants are absurd. Does not know sockets, keys' meaning, or how anything is set up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from sdbox_agent.errors import DecodeError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

# wireguard.com/papers/wireguard.pdf, section 5.4
KEY_BYTES: Final = 32
# RFC 6890: "this" network, loopback, link-local; RFC 5771: multicast; RFC 1112, section 4: no use
_NO_HOST4: Final = tuple(
    map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"))
)
# RFC 4291, section 2.4, and RFC 4193: all that is handed out to hosts
_UNICAST6: Final = (IPv6Network("2000::/3"), IPv6Network("fc00::/7"))
# ours
INTERFACE: Final = "sdbox0"  # the box has one tunnel at a time
FWMARK: Final = 0x5DB0  # set by WireGuard on its own packets; the walls let none out that bears it
LIVE_MARK: Final = 0x5DB1  # what they bear at the walls while their helper lives: `lifeline`
CARRIER_UID: Final = 61007  # sdbox-carrier (systemd/sdbox.sysusers): whose TCP the walls let out
LOOPBACK: Final = IPv4Address("127.0.0.1")  # where WireGuard meets a carrier, at both ends
KEEPALIVE_S: Final = 25  # wireguard.com/quickstart, "NAT and Firewall Traversal Persistence"
MAX_ADDRESSES: Final = 2  # one a family

_ENDPOINT: Final = re.compile(r"(?:([0-9.]{7,15})|\[([0-9a-f:.]{2,45})\]):([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host's address and UDP or TCP port. Never a name."""

    address: Address
    port: int

    @override
    def __str__(self) -> str:
        host = self.address if self.address.version == 4 else f"[{self.address}]"
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One session's tunnel as it shall be, but for its preshared key."""

    peer: bytes
    endpoint: Endpoint
    addresses: tuple[Interface, ...]  # the box's own, each a host prefix (/32, /128)
    vm: Address
    lease_s: int


def parse_endpoint(text: str) -> Endpoint:
    """`192.0.2.1:51820` or `[2001:db8::1]:51820`, in canonical form. Raises DecodeError."""
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise DecodeError("endpoint is not address:port")
    port = int(match[3])
    if port > 0xFFFF:
        raise DecodeError("port out of range")
    endpoint = Endpoint(_address(match[1] or match[2]), port)
    if str(endpoint) != text:
        raise DecodeError("endpoint is not in canonical form")
    return endpoint


def parse(
    *, peer: bytes, endpoint: str, addresses: tuple[str, ...], vm: str, lease_s: int
) -> Tunnel:
    """The checked description. Raises DecodeError for anything a project's network can't be."""
    if not 1 <= len(addresses) <= MAX_ADDRESSES:
        raise DecodeError("one address a family is needed")
    own = tuple(_own(text) for text in addresses)
    versions = [address.version for address in own]
    if len(set(versions)) != len(versions):
        raise DecodeError("two addresses of one family")
    far, machine = parse_endpoint(endpoint), _address(vm)
    if machine.version not in versions:
        raise DecodeError("the VM's family has no address of ours")
    if len({machine, far.address, *(address.ip for address in own)}) != len(own) + 2:
        raise DecodeError("one address stands for two parties")
    if len(peer) != KEY_BYTES or not any(peer):
        raise DecodeError("not a key")
    return Tunnel(peer, far, own, machine, lease_s)


def check_place(tunnel: Tunnel, around: Iterable[Interface]) -> None:
    """Raises Fault where the tunnel's inside lies in a network that the box itself stands in.

    The session's namespace has no other way out, so nothing would leak; but an address that means
    two machines is somebody's mistake, or worse. `around`: the box's own addresses.
    """
    inside = [tunnel.vm, *(address.ip for address in tunnel.addresses)]
    for interface in around:
        if tunnel.endpoint.address == interface.ip:
            raise Fault("address-conflict")
        if any(address in interface.network for address in inside):
            raise Fault("address-conflict")


def _own(text: str) -> Interface:
    """An address of ours inside the tunnel: a host prefix, so it can't claim a network."""
    host, slash, length = text.partition("/")
    address = _address(host)
    if slash != "/" or length != str(address.max_prefixlen):
        raise DecodeError("own address is not a host prefix")
    return ip_interface(address)


def _address(text: str) -> Address:
    """One unicast address, canonical, of a host that is not this one."""
    try:
        address = ip_address(text)
    except ValueError:
        raise DecodeError("not an address") from None
    if str(address) != text or "%" in text:
        raise DecodeError("address is not in canonical form")
    if isinstance(address, IPv6Address):
        given = any(address in network for network in _UNICAST6)
        given = given and address.sixtofour is None and address.teredo is None  # another one inside
    else:
        given = not any(address in network for network in _NO_HOST4)
    if not given:
        raise DecodeError("not an address that hosts are given")
    return address
