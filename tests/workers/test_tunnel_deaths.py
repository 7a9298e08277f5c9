"""Whoever dies, and whenever: no way out is left, and no orphan."""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from hil.net.helper import TunnelHelper
from hil.net.observe import Observer, now_ns
from hil.net.peer import OWN4, VM4, FarPeer
from hil.net.topology import CENTRE4, CENTRE_SIDE, Topology
from sdbox_agent import ipc
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel.config import INTERFACE
from tests.devices import by_either, by_kernel
from tests.waiting import PATIENCE_S, until
from tests.workers.tunnel_parts import Core, child_of, granted, has_ended

pytestmark = pytest.mark.rig


def test_a_helper_killed_leaves_nothing_and_its_successor_starts_clean(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper, root: Path
) -> None:
    core.rise(far)
    wireguard = child_of(helper.process.pid)
    helper.process.kill(signal.SIGKILL)
    until(lambda: topology.session.links() == {"lo"})
    until(lambda: has_ended(wireguard))
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        time.sleep(0.2)
    assert observer.arrived(lambda frame: not frame.neighbour_discovery) == []
    helper.restart()
    core.channel.close()
    again = Core(root, number=2)
    assert again.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    assert not granted(topology)  # what the dead one had let through
    again.rise(far)
    again.channel.close()


@by_kernel
def test_the_kernels_interface_outlives_its_helper_and_nothing_passes_it(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper, root: Path, device: str
) -> None:
    core.rise(far)
    helper.process.kill(signal.SIGKILL)
    assert helper.process.wait(PATIENCE_S)
    assert topology.session.links() == {"lo", INTERFACE}
    with (
        Observer(topology.centre, CENTRE_SIDE) as observer,
        topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside,
        topology.vm[0].socket(socket.AF_INET, socket.SOCK_DGRAM) as vm,
    ):
        inside.bind((OWN4, 9))
        inside.settimeout(0.3)
        for _ in range(20):
            with contextlib.suppress(OSError):
                inside.sendto(b"out", (VM4, 9))
            vm.sendto(b"in", (OWN4, 9))
        with pytest.raises(TimeoutError):
            inside.recv(9)
    assert observer.arrived(lambda frame: frame.destination == CENTRE4) == []
    helper.restart()
    core.channel.close()
    again = Core(root, number=2, device=device)
    assert again.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    assert topology.session.links() == {"lo"}
    again.rise(far)
    again.channel.close()


@by_kernel
def test_the_kernels_interface_deleted_by_another_ends_the_tunnel(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    topology.session.ip(f"link del {INTERFACE}")
    assert core.hear_down() in {"tunnel-lost", "tunnel-fault"}
    assert not granted(topology)


def test_wireguard_killed_ends_the_tunnel(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper
) -> None:
    core.rise(far)
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        os.kill(child_of(helper.process.pid), signal.SIGKILL)
        killed_ns = now_ns()
        assert core.hear_down() == "tunnel-lost"
        assert topology.session.links() == {"lo"}
        with (
            topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
            pytest.raises(OSError, match="unreachable"),
        ):
            sock.sendto(b"out", (CENTRE4, 9))
    assert [f for f in observer.arrived() if f.time_ns > killed_ns + 10**6 and f.protocol] == []


def test_a_wireguard_that_hangs_is_killed_at_closing(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper
) -> None:
    core.rise(far)
    os.kill(child_of(helper.process.pid), signal.SIGSTOP)
    core.close_tunnel()
    assert topology.session.links() == {"lo"}


@by_either
def test_a_helper_that_stood_still_longer_than_the_lease_ends_it_first_thing(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper
) -> None:
    core.rise(far, lease_s=2)
    helper.process.kill(signal.SIGSTOP)
    time.sleep(2.5)
    helper.process.kill(signal.SIGCONT)
    assert core.hear_down() == "lease-expired"
    assert topology.session.links() == {"lo"}


@by_either
def test_the_cores_end_is_the_tunnels_end(topology: Topology, far: FarPeer, core: Core) -> None:
    core.rise(far)
    core.channel.close()
    until(lambda: topology.session.links() == {"lo"})


def test_a_core_that_leaves_while_it_is_answered_leaves_nothing(
    topology: Topology, far: FarPeer, helper: TunnelHelper, root: Path
) -> None:
    hasty = Core(root)
    hasty.channel.sock.shutdown(socket.SHUT_RD)  # the answer can't be delivered
    hasty.channel.send(ipc.PrepareTunnel(n=1))
    with contextlib.suppress(BrokenPipeError, ipc.Closed):
        while True:  # until the helper has let go
            hasty.channel.send(ipc.TunnelStatus())
            time.sleep(0.01)
    hasty.channel.close()
    core = Core(root)
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    assert Path(f"/proc/{helper.process.pid}/task/{helper.process.pid}/children").read_text() == ""
    core.rise(far)
    core.channel.close()


@by_either
def test_sigterm_takes_everything_down(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper, root: Path
) -> None:
    core.rise(far)
    helper.process.kill(signal.SIGTERM)
    assert helper.process.wait(PATIENCE_S)
    assert helper.process.status == 0
    assert topology.session.links() == {"lo"}
    assert not granted(topology)
    assert [path.name for path in Paths(root).tunnel_runtime.iterdir()] == ["core.sock"]
