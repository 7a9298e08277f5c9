"""The tunnel helper as its unit starts it: user, one capability, five sockets, own mounts.

wireguard-go keeps its control socket in /run/wireguard, which belongs to root and to everybody's
WireGuard: in the helper's own mount namespace the helper's runtime directory lies there
(systemd: BindPaths=/run/sdbox-tunnel:/run/wireguard).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.net import linux
from hil.net.process import Process, Unit
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel.kernel import NETLINK_GENERIC

if TYPE_CHECKING:
    from hil.net.topology import Topology

UID: Final = 61004
WIREGUARD: Final = Path("/run/wireguard")


def unit(topology: Topology, root: Path, core_uid: int, sockets: list[socket.socket]) -> Unit:
    """The helper's unit, over the sockets of `open_sockets`."""
    return Unit(
        argv=[
            sys.executable,
            *("-m", "sdbox_agent.workers.tunnel"),
            *("--root", str(root)),
            *("--core-uid", str(core_uid)),
            *("--session-netns", str(topology.session.path)),
        ],
        network=topology.box,
        uid=UID,
        capabilities=(linux.CAP_NET_ADMIN,),
        listen=[each.fileno() for each in sockets],
        binds={WIREGUARD: Paths(root).tunnel_runtime},
        tun=True,
        environment={"PATH": "/usr/sbin:/usr/bin"},
    )


def open_sockets(topology: Topology, root: Path) -> list[socket.socket]:
    """The core's listening socket, and four opened inside the session namespace, by root."""
    paths = Paths(root)
    paths.tunnel_runtime.mkdir(mode=0o711, parents=True, exist_ok=True)
    os.chown(paths.tunnel_runtime, UID, UID)
    paths.tunnel_socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    listener.bind(str(paths.tunnel_socket))
    paths.tunnel_socket.chmod(0o666)
    listener.listen(4)
    inside = topology.session.socket
    return [
        listener,
        inside(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE),
        inside(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC),
        inside(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        inside(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6),
    ]


class TunnelHelper:
    """One running helper, from `with` to its end."""

    def __init__(self, topology: Topology, root: Path, core_uid: int) -> None:
        self._sockets = open_sockets(topology, root)
        self._unit = unit(topology, root, core_uid, self._sockets)
        self.process = Process(self._unit)

    def restart(self) -> None:
        """As a service manager does, on the same sockets."""
        self.process.end()
        self.process = Process(self._unit)

    def __enter__(self) -> TunnelHelper:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.end()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.close()
