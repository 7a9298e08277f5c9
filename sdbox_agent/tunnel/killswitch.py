"""The walls of a box, as nftables text: loaded once, before the network comes up.

Default drop, in and out, IPv4 and IPv6. What passes: neighbour discovery, DHCP, HTTPS to the
centre, and the tunnel to the one endpoint that stands in a set, empty without a session: WireGuard
by its mark, or, where it is carried over TLS, the carrier by its user.
The second table sits at the devices' egress hook, where frames written raw (AF_PACKET) pass too.
Does not know who loads it (`nft -f`, own unit) nor who fills the set (`nfset`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import CARRIER_UID, FWMARK
from sdbox_agent.tunnel.nfset import TABLE, VERSIONS, Protocol, set_name

if TYPE_CHECKING:
    from sdbox_agent.tunnel.config import Endpoint

_DEVICE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")  # IFNAMSIZ 16, NUL included

_INPUT: Final = """\
    iif "lo" accept
    ip saddr . tcp sport @centre4 ct state established accept
    ip6 saddr . tcp sport @centre6 ct state established accept
    ip saddr . udp sport @{udp4} ct state established accept
    ip6 saddr . udp sport @{udp6} ct state established accept
    ip saddr . tcp sport @{tcp4} ct state established accept
    ip6 saddr . tcp sport @{tcp6} ct state established accept
    ct state related icmp type destination-unreachable accept
    ct state related icmpv6 type {{ destination-unreachable, packet-too-big }} accept
    icmpv6 type {{ {nd_in} }} ip6 hoplimit 255 accept
"""
_OUTPUT: Final = """\
    ip daddr . tcp dport @centre4 accept
    ip6 daddr . tcp dport @centre6 accept
    meta mark {mark} ip daddr . udp dport @{udp4} accept
    meta mark {mark} ip6 daddr . udp dport @{udp6} accept
    meta skuid {carrier} ip daddr . tcp dport @{tcp4} accept
    meta skuid {carrier} ip6 daddr . tcp dport @{tcp6} accept
    icmpv6 type {{ {nd_out} }} ip6 hoplimit 255 accept
"""
_DHCP_INPUT: Final = """\
    udp sport 67 udp dport 68 accept
    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
"""
_DHCP_OUTPUT: Final = """\
    udp sport 68 udp dport 67 accept
    ip6 daddr { fe80::/10, ff02::1:2 } udp sport 546 udp dport 547 accept
"""


@dataclass(frozen=True, slots=True)
class Walls:
    """What differs from box to box."""

    centre: tuple[Endpoint, ...]  # the centre's API: TCP
    uplinks: tuple[str, ...]  # devices that carry the box's traffic
    dhcp: bool = True
    router_advertisements: bool = False  # only where the host's IPv6 needs them


def ruleset(walls: Walls) -> str:
    """The text for `nft -f`. Loading it twice fails as a whole and changes nothing."""
    for device in walls.uplinks:
        if not _DEVICE.fullmatch(device):
            raise DecodeError("not a device's name")
    sets = _sets(walls)
    words = {
        "mark": f"{FWMARK:#x}",
        "carrier": CARRIER_UID,
        **{
            f"{protocol.name.lower()}{version}": set_name(protocol, version)
            for protocol in Protocol
            for version in VERSIONS
        },
        "nd_in": "nd-neighbor-solicit, nd-neighbor-advert"
        + (", nd-router-advert" if walls.router_advertisements else ""),
        "nd_out": "nd-neighbor-solicit, nd-neighbor-advert"
        + (", nd-router-solicit" if walls.router_advertisements else ""),
    }
    into = _INPUT.format(**words) + (_DHCP_INPUT if walls.dhcp else "")
    out = _OUTPUT.format(**words) + (_DHCP_OUTPUT if walls.dhcp else "")
    hook = "type filter hook {} priority filter; policy drop;"
    inet = (
        sets
        + _chain("input", hook.format("input"), into)
        + _chain("output", hook.format("output"), '    oif "lo" accept\n' + out)
        + _chain("forward", hook.format("forward"), "")
    )
    netdev = sets + (_egress(walls.uplinks, out) if walls.uplinks else "")
    return "".join(
        f"create table {family} {TABLE}\ntable {family} {TABLE} {{\n{body}}}\n"
        for family, body in (("inet", inet), ("netdev", netdev))
    )


def _egress(uplinks: tuple[str, ...], out: str) -> str:
    devices = ", ".join(f'"{device}"' for device in uplinks)
    hook = f"type filter hook egress devices = {{ {devices} }} priority filter; policy drop;"
    return _chain("egress", hook, "    meta protocol arp accept\n" + out)


def _chain(name: str, hook: str, rules: str) -> str:
    return f"  chain {name} {{\n    {hook}\n{rules}  }}\n"


def _sets(walls: Walls) -> str:
    text = ""
    for version, key in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        centre = [e for e in walls.centre if e.address.version == version]
        elements = ", ".join(f"{e.address} . {e.port}" for e in centre)
        filled = f" elements = {{ {elements} }};" if elements else ""
        text += f"  set centre{version} {{ type {key} . inet_service;{filled} }}\n"
        for protocol in Protocol:
            text += f"  set {set_name(protocol, version)} {{ type {key} . inet_service; }}\n"
    return text
