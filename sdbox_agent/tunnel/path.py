"""[door] The box's own way to an endpoint, as its kernel knows it: route, MTU, and their changes.

Nothing is sent. Does not know WireGuard, nor whether anything answers.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Fault
from sdbox_agent.tunnel.config import FWMARK
from sdbox_agent.tunnel.kernel import Bell

if TYPE_CHECKING:
    from sdbox_agent.tunnel.config import Endpoint

# <linux/rtnetlink.h>, <linux/in.h>, <linux/in6.h>
_IPV4_ADDRESSES, _IPV4_ROUTES = 0x10, 0x40
_IPV6_ADDRESSES, _IPV6_ROUTES = 0x100, 0x400
_GROUPS: Final = _IPV4_ADDRESSES | _IPV4_ROUTES | _IPV6_ADDRESSES | _IPV6_ROUTES
_MTU: Final = {4: (socket.IPPROTO_IP, 14), 6: (socket.IPPROTO_IPV6, 24)}  # IP_MTU, IPV6_MTU
_FAMILY: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


def mtu_bytes(endpoint: Endpoint) -> int:
    """What the way to `endpoint` takes, for packets with the tunnel's mark.

    From the route, from its device, or as an ICMP message has taught. Raises Fault("no-route").
    """
    version = endpoint.address.version
    with socket.socket(_FAMILY[version], socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, FWMARK)
        try:
            sock.connect((str(endpoint.address), endpoint.port))
            return sock.getsockopt(*_MTU[version])
        except OSError as error:
            raise Fault("no-route") from error


def changes() -> Bell:
    """Rings when an address or a route of this process's namespace has come or gone."""
    return Bell(socket.NETLINK_ROUTE, _GROUPS)
