"""The walls of a box, as nftables text: default drop, in and out, IPv4 and IPv6.

What passes is a list of openings, each with its purpose, which every rule carries as its comment:
`networksheet` prints the same list for people. The tunnel's endpoint stands in sets, empty without
a session, and is spoken to under a mark that only a living helper lends (`lifeline`); everything
else is fixed when the walls are raised. Two tables: `inet` for whatever goes through the IP stack,
and `netdev`, whose chain hangs at each uplink's egress hook, where frames written raw (AF_PACKET)
pass too, and says the same.
Does not know who loads it (`workers.walls`) nor who fills the sets (`nfset`).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from ipaddress import collapse_addresses
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import CARRIER_UID, LIVE_MARK
from sdbox_agent.tunnel.nfset import TABLE, VERSIONS, Protocol, set_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv6Network

    from sdbox_agent.tunnel.config import Address, Endpoint

EGRESS: Final = "egress-"  # what the names of the chains at the devices begin with

_DEVICE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")  # IFNAMSIZ 16, NUL included
_KEYS: Final = {4: "ipv4_addr", 6: "ipv6_addr"}
_FAMILY: Final = {4: "ip", 6: "ip6"}
# RFC 4291: global unicast, unique local (RFC 4193), link-local; section 2.7.1, multicast on a link
_UNICAST: Final = ("2000::/3", "fc00::/7")
_BROADCAST: Final = "255.255.255.255"  # RFC 919: on this cable
_LINK_LOCAL: Final = "fe80::/10"
_ALL_NODES: Final = "ff02::1"
_ALL_ROUTERS: Final = "ff02::2"
_SOLICITED_NODE: Final = "ff02::1:ff00:0/104"
_DHCP_AGENTS: Final = "ff02::1:2"  # RFC 8415, section 7.1
_LIVE: Final = f"meta mark {LIVE_MARK:#x} "


@enum.unique
class Purpose(enum.Enum):
    """Why something passes; the comment of its rules."""

    LOOPBACK = "loopback"
    CENTRE = "centre"
    TUNNEL = "tunnel"
    CARRIER = "carrier"
    NEIGHBOURS = "neighbours"
    ROUTERS = "routers"
    DHCP = "dhcp"
    NAMES = "names"
    TIME = "time"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Walls:
    """What differs from box to box."""

    centre: tuple[Endpoint, ...]  # the centre's API: TCP
    uplinks: tuple[str, ...]  # devices that carry the box's traffic; no other one does
    dhcp: bool = True  # else the box has static addresses
    router_advertisements: bool = False  # only where the host's IPv6 needs them
    prefixes: tuple[IPv6Network, ...] = ()  # on the cable; where none is named, any unicast
    resolvers: tuple[Address, ...] = ()
    time_servers: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """What passes for one purpose: for people, and as matches of nftables without their verdict."""

    purpose: Purpose
    protocols: tuple[str, ...]
    to: tuple[str, ...] = ()  # addresses, prefixes, groups; none: an endpoint that is granted
    ports: tuple[int, ...] = ()  # at the other end
    out: tuple[str, ...] = ()
    into: tuple[str, ...] = ()
    cable: tuple[str, ...] = ()  # what is no IP, and so at the egress hook alone


def openings(walls: Walls) -> tuple[Opening, ...]:
    """Everything that passes, through an uplink. Raises DecodeError for what is no device."""
    for device in walls.uplinks:
        _check_device(device)
    if not walls.uplinks:
        return ()
    found = [
        _tcp(Purpose.CENTRE, walls.centre),
        _by_set(Purpose.TUNNEL, Protocol.UDP),
        _by_set(Purpose.CARRIER, Protocol.TCP, f"meta skuid {CARRIER_UID} "),
        _neighbours(tuple(collapse_addresses(walls.prefixes)) or _UNICAST),
        Opening(
            Purpose.ERRORS,
            ("icmp", "icmpv6"),
            into=(
                "ct state related icmp type destination-unreachable",
                "ct state related icmpv6 type { destination-unreachable, packet-too-big }",
            ),
        ),
    ]
    if walls.resolvers:
        found.append(_service(Purpose.NAMES, walls.resolvers, 53, ("udp", "tcp")))
    if walls.time_servers:
        found.append(_service(Purpose.TIME, walls.time_servers, 123, ("udp",)))
    if walls.router_advertisements:
        found.append(_routers())
    if walls.dhcp:
        found.append(_dhcp())
    return tuple(found)


def ruleset(walls: Walls) -> str:
    """The text for `nft -f`, every uplink being there."""
    return tables(walls) + "".join(hook(device) for device in walls.uplinks)


def tables(walls: Walls) -> str:
    """Both tables but for the hooks. Loaded again it says the same again, and no chain is remade.

    One transaction: no packet meets walls without rules. Whoever was let through before is not any
    more: no session outlives it.
    """
    found = openings(walls)
    into = _rules((each.purpose, each.into) for each in found)
    out = _rules((each.purpose, each.out) for each in found)
    cable = _rules((each.purpose, each.cable) for each in found)
    input_, output = _at_uplinks("iif", walls, into), _at_uplinks("oif", walls, out)
    hooked = "type filter hook {} priority filter; policy drop;"
    inet = (
        _sets()
        + _chain("input", hooked.format("input"), input_)
        + _chain("output", hooked.format("output"), output)
        + _chain("forward", hooked.format("forward"), [])
    )
    netdev = _sets() + _chain("leaving", "", cable + out)
    return "".join(
        f"add table {family} {TABLE}\nflush table {family} {TABLE}\n"
        f"table {family} {TABLE} {{\n{body}}}\n"
        + "".join(f"flush set {family} {TABLE} {name}\n" for name in _set_names())
        for family, body in (("inet", inet), ("netdev", netdev))
    )


def hook(device: str) -> str:
    """The text that hangs the walls at one device's egress. Raises DecodeError."""
    _check_device(device)
    chain = f"netdev {TABLE} {EGRESS}{device}"
    return (
        f"add chain {chain} "
        f'{{ type filter hook egress device "{device}" priority filter; policy drop; }}\n'
        f"flush chain {chain}\nadd rule {chain} jump leaving\n"
    )


def remove() -> str:
    """The text that takes down whatever stands under our names, ours or not."""
    return "".join(
        f"add table {family} {TABLE}\ndelete table {family} {TABLE}\n"
        for family in ("inet", "netdev")
    )


def _check_device(name: str) -> None:
    """Raises DecodeError for a name that no device has, or that could write rules."""
    if not _DEVICE.fullmatch(name):
        raise DecodeError("not a device's name")


# -- the openings ----------------------------------------------------------------------------------


def _tcp(purpose: Purpose, endpoints: tuple[Endpoint, ...]) -> Opening:
    """Conversations that the box begins with these endpoints."""
    out, into = [], []
    for version, at in _by_version([(each.address, each.port) for each in endpoints]):
        elements = ", ".join(f"{address} . {port}" for address, port in at)
        family = _FAMILY[version]
        out.append(f"{family} daddr . tcp dport {{ {elements} }}")
        into.append(f"{family} saddr . tcp sport {{ {elements} }} ct state established")
    to = tuple(str(each.address) for each in endpoints)
    ports = tuple(sorted({each.port for each in endpoints}))
    return Opening(purpose, ("tcp",), to, ports, tuple(out), tuple(into))


def _by_set(purpose: Purpose, protocol: Protocol, sender: str = "") -> Opening:
    """The tunnel, while its helper lives: begun by `sender`, with the endpoint that was granted."""
    word = protocol.name.lower()
    names = [(_FAMILY[version], set_name(protocol, version)) for version in VERSIONS]
    return Opening(
        purpose,
        (word,),
        out=tuple(
            f"{_LIVE}{sender}{family} daddr . {word} dport @{name}" for family, name in names
        ),
        into=tuple(
            f"{_LIVE}{family} saddr . {word} sport @{name} ct state established"
            for family, name in names
        ),
    )


def _service(
    purpose: Purpose, servers: tuple[Address, ...], port: int, protocols: tuple[str, ...]
) -> Opening:
    """A service of the host's network, at these addresses."""
    out, into = [], []
    for version, at in _by_version([(address, port) for address in servers]):
        elements = ", ".join(str(address) for address, _ in at)
        family = _FAMILY[version]
        for word in protocols:
            out.append(f"{family} daddr {{ {elements} }} {word} dport {port}")
            into.append(f"{family} saddr {{ {elements} }} {word} sport {port} ct state established")
    return Opening(purpose, protocols, tuple(map(str, servers)), (port,), tuple(out), tuple(into))


def _neighbours(unicast: Iterable[object]) -> Opening:
    """RFC 826 and RFC 4861: hop limit 255 says that no router has passed it on."""
    kinds = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255"
    near = (_LINK_LOCAL, *map(str, unicast))
    to = (*near, _ALL_NODES, _SOLICITED_NODE)
    return Opening(
        Purpose.NEIGHBOURS,
        ("arp", "icmpv6"),
        to,
        out=(f"{kinds} ip6 daddr {{ {', '.join(to)} }}",),
        into=(
            f"{kinds} ip6 saddr {{ {', '.join((*near, '::'))} }}",
        ),  # ::, who asks if it is alone
        cable=("arp operation { request, reply }",),
    )


def _routers() -> Opening:
    return Opening(
        Purpose.ROUTERS,
        ("icmpv6",),
        (_ALL_ROUTERS,),
        out=(f"icmpv6 type nd-router-solicit ip6 hoplimit 255 ip6 daddr {_ALL_ROUTERS}",),
        into=(f"icmpv6 type nd-router-advert ip6 hoplimit 255 ip6 saddr {_LINK_LOCAL}",),
    )


def _dhcp() -> Opening:
    """Requests to everybody on the cable alone: a lease is renewed that way too.

    RFC 2131, section 4.4.5: a client whose server does not answer it directly (at half the lease)
    asks everybody, at seven eighths. RFC 8415, section 18.2.4: to the multicast address.
    """
    return Opening(
        Purpose.DHCP,
        ("udp",),
        (_BROADCAST, _DHCP_AGENTS),
        (67, 547),
        out=(
            f"ip daddr {_BROADCAST} udp sport 68 udp dport 67",
            f"ip6 saddr {_LINK_LOCAL} ip6 daddr {_DHCP_AGENTS} udp sport 546 udp dport 547",
        ),
        into=(
            "meta nfproto ipv4 udp sport 67 udp dport 68",  # from a server not known before
            f"ip6 saddr {_LINK_LOCAL} ip6 daddr {_LINK_LOCAL} udp sport 547 udp dport 546",
        ),
    )


def _by_version(
    endpoints: list[tuple[Address, int]],
) -> list[tuple[int, list[tuple[Address, int]]]]:
    """Grouped by IP version, the empty ones left out."""
    groups = [(v, [each for each in endpoints if each[0].version == v]) for v in VERSIONS]
    return [(version, group) for version, group in groups if group]


# -- as text ---------------------------------------------------------------------------------------


def _rules(matches: Iterable[tuple[Purpose, tuple[str, ...]]]) -> list[str]:
    return [
        f'{match} accept comment "{purpose.value}"' for purpose, each in matches for match in each
    ]


def _at_uplinks(side: str, walls: Walls, rules: list[str]) -> list[str]:
    """`lo` passes; after that, only what goes through an uplink is looked at."""
    loopback = f'{side} "lo" accept comment "{Purpose.LOOPBACK.value}"'
    if not walls.uplinks:
        return [loopback]
    devices = ", ".join(f'"{device}"' for device in walls.uplinks)
    return [loopback, f"{side}name != {{ {devices} }} drop", *rules]


def _chain(name: str, hooked: str, rules: list[str]) -> str:
    lines = [line for line in (hooked, *rules) if line]
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _sets() -> str:
    return "".join(
        f"  set {name} {{ type {_KEYS[version]} . inet_service; }}\n"
        for name, version in _set_names().items()
    )


def _set_names() -> dict[str, int]:
    """Name and IP version of each."""
    return {set_name(protocol, version): version for protocol in Protocol for version in VERSIONS}
