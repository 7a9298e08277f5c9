"""A box's walls, from its settings."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_address
from typing import TYPE_CHECKING

from sdbox_agent.profile import load
from sdbox_agent.state.trusted import FileRefused
from sdbox_agent.tunnel.config import Endpoint
from sdbox_agent.tunnel.killswitch import Walls

if TYPE_CHECKING:
    from sdbox_agent.profile.schema import Box


def walls_of(box: Box) -> Walls:
    """What the walls of this box are. Raises FileRefused("config-invalid")."""
    try:
        centre = tuple(ip_address(each) for each in box.centre.addresses or (box.centre.host,))
    except ValueError:
        reason = "centre.addresses: missing, and centre.host is a name: walls know addresses only"
        raise FileRefused("config-invalid", load.BOX_FILE, 0, reason) from None
    return Walls(
        centre=tuple(Endpoint(address, box.centre.port) for address in centre),
        uplinks=box.lan.uplinks,
        dhcp=box.lan.dhcp,
        router_advertisements=box.lan.router_advertisements,
        prefixes=tuple(map(IPv6Network, box.lan.prefixes)),
        resolvers=tuple(map(ip_address, box.lan.resolvers)),
        time_servers=tuple(map(ip_address, box.lan.time_servers)),
    )
