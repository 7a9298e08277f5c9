"""How an open tunnel fares; a part of hil.net.bench.

roam_ms            another address on the box .. first WireGuard frame from it on the cable
lost_ms            the gateway removes our peer .. `down` here, nothing up any more
narrow_ms          `up` here, into a way that swallows more than 1280 bytes .. the size set
open_cpu_percent   helper and wireguard-go while the session does nothing, of one processor
"""

from __future__ import annotations

import socket
import time
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from hil.bench_figures import timing
from hil.bench_processes import children, idle_percent
from hil.net.observe import Observer, now_ns
from hil.net.stand import standing
from hil.net.topology import CENTRE_SIDE, UPLINK
from sdbox_agent import ipc
from sdbox_agent.tunnel import rtnetlink
from sdbox_agent.tunnel.config import INTERFACE
from sdbox_agent.tunnel.kernel import Links

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.bench_figures import Figures
    from hil.net.peer import FarPeer
    from hil.net.stand import Core, Stand
    from hil.net.topology import Topology

_HOSTS = (102, 2)  # the box's addresses by turns; it starts with the second
_CPU_S = 5.0
_SWALLOW = """table inet host {
    chain coming { type filter hook prerouting priority -400; meta length > 1280 drop; }
    chain going { type filter hook output priority -400; meta length > 1280 drop; }
}"""


def roam_ms(topology: Topology, host: int, before: int) -> float:
    """Move the box to another address of its network."""
    links = Links(topology.box.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
    index = links.index(UPLINK)
    assert index is not None
    new = f"192.0.2.{host}"
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        topology.box.ip(f"addr del 192.0.2.{before}/24 dev {UPLINK}")
        links.run([rtnetlink.add_address(index, ip_interface(f"{new}/24"))])
        there_ns = now_ns()
        while not (frames := observer.arrived(lambda f: f.source == new and f.port == 51820)):
            time.sleep(0.001)
    links.close()
    return (frames[0].time_ns - there_ns) / 1e6


def lost_ms(core: Core, far: FarPeer) -> float:
    """Have the gateway forget us."""
    start_s = time.perf_counter()
    far.admit(b"\x01" * 32, bytes(32))
    while not isinstance(core.hear(), ipc.TunnelDown):
        pass
    return (time.perf_counter() - start_s) * 1000


def narrow_ms(topology: Topology, core: Core) -> float:
    """Open into a black hole."""
    topology.centre.nft(_SWALLOW)
    core.open()
    start_s = time.perf_counter()
    while " mtu 1420" in topology.session.show(f"link show {INTERFACE}"):
        time.sleep(0.005)
    elapsed_s = time.perf_counter() - start_s
    topology.centre.nft("delete table inet host")
    return elapsed_s * 1000


def measure(rounds: int) -> Figures:
    """Every figure."""
    found: dict[str, list[float]] = {}
    with standing() as stand:
        for name, value in _figures(stand, rounds):
            found.setdefault(name, []).append(value)
    (cpu,) = found.pop("open_cpu_percent")
    figures: Figures = {name: timing(each) for name, each in found.items()}
    return figures | {"open_cpu_percent": round(cpu, 3)}


def _figures(stand: Stand, rounds: int) -> Iterator[tuple[str, float]]:
    """Each figure, over and over."""
    core, topology, helper = stand.core, stand.topology, stand.helper.process.pid
    core.open()
    both = {"open": [helper, *children(helper)]}
    yield "open_cpu_percent", idle_percent(both, _CPU_S)["open"]
    for turn in range(rounds):
        yield "roam_ms", roam_ms(topology, _HOSTS[turn % 2], _HOSTS[1 - turn % 2])
        time.sleep(0.3)
    core.close()
    for turn in range(rounds):
        core.open()
        time.sleep(0.04 * (turn % 10))  # anywhere between two probes
        yield "lost_ms", lost_ms(core, stand.far)
    for _ in range(max(rounds // 5, 3)):
        yield "narrow_ms", narrow_ms(topology, core)
        core.close()
