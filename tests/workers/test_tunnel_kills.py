"""Helper, core, WireGuard: each of them and any two, killed -9 in every state, under two floods.

The session namespace sends to the VM and the VM to the box all the while. What is asked: nothing
but neighbour discovery leaves the box once they are dead, nobody is orphaned, and whoever comes
next opens a tunnel as if nothing had been. The kernel's WireGuard can't be killed: its interface
waits for the next helper, and until then nothing passes it.
"""

import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net import linux
from hil.net.helper import TunnelHelper
from hil.net.observe import Observer, now_ns
from hil.net.peer import OWN4, VM4, FarPeer
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, CENTRE_SIDE, Topology
from sdbox_agent import ipc
from tests.devices import KERNEL, USERSPACE, by_kernel
from tests.waiting import PATIENCE_S, until
from tests.workers.tunnel_parts import Core, children_of, granted, has_ended

pytestmark = pytest.mark.rig

WHO = {USERSPACE: ("helper", "core", "wireguard"), KERNEL: ("helper", "core")}


def kills(device: str) -> list[tuple[str, ...]]:
    """One, or two after another."""
    return [each for many in (1, 2) for each in itertools.permutations(WHO[device], many)]


STATES = ("warm", "starting", "prepared", "reaching", "up", "closing")
IN_KERNEL = ("prepared", "up", "closing")  # it starts in one request; a machine under TCG is slow


def flooding(topology: Topology, gap_us: int) -> Iterator[None]:
    """From the session to the VM, and from the VM to the box."""
    argv = [sys.executable, "-m", "hil.net.flood"]
    ways = ((topology.session, VM4), (topology.vm[0], OWN4))
    running = [
        Process(Unit([*argv, to, "9", f"{gap_us}", "600"], network=where, output=Path(os.devnull)))
        for where, to in ways
    ]
    yield
    for each in running:
        each.end()


@pytest.fixture(scope="module")
def floods(topology: Topology, far: FarPeer) -> Iterator[None]:
    yield from flooding(topology, 1000)


@pytest.fixture(scope="module")
def thin_floods(topology: Topology, far: FarPeer) -> Iterator[None]:
    """Of which the witness can see every frame on a machine under TCG, a hundred times slower."""
    yield from flooding(topology, 10_000)


def bring_to(state: str, core: Core, far: FarPeer, helper: TunnelHelper) -> None:
    """The helper in that state, with wireguard-go running."""
    if state in {"warm", "starting"}:  # wireguard-go is there, its interface perhaps not yet
        order = ipc.WarmTunnel if state == "warm" else ipc.PrepareTunnel
        core.channel.send(order(n=core.number, userspace=core.userspace))
        if core.userspace:
            until(lambda: children_of(helper.process.pid))
    elif state in {"up", "closing"}:
        core.rise(far)
    else:
        core.prepare()
        assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)  # started behind it
    if state == "reaching":
        core.channel.send(core.opening(far, endpoint=f"{CENTRE4}:51999"))
        assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    if state == "closing":
        core.channel.send(ipc.CloseTunnel(n=core.number))


def in_a_process(core: Core) -> int:
    """The core's end of the channel, held by a process of its own and by nobody else."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        while os.getppid() == parent:
            signal.pause()
        os._exit(0)
    core.channel.close()
    return pid


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("victims", kills(USERSPACE), ids="-".join)
@pytest.mark.usefixtures("floods")
def test_whoever_is_killed_no_way_out_is_left_and_no_orphan(
    topology: Topology,
    far: FarPeer,
    helper: TunnelHelper,
    root: Path,
    state: str,
    victims: tuple[str, ...],
) -> None:
    killed(topology, far, helper, Core(root), state, victims)


@by_kernel
@pytest.mark.parametrize("state", IN_KERNEL)
@pytest.mark.parametrize("victims", kills(KERNEL), ids="-".join)
@pytest.mark.usefixtures("thin_floods")
def test_with_the_kernels_wireguard_neither(
    topology: Topology,
    far: FarPeer,
    helper: TunnelHelper,
    root: Path,
    state: str,
    victims: tuple[str, ...],
    device: str,
) -> None:
    killed(topology, far, helper, Core(root, device=device), state, victims)


def killed(
    topology: Topology,
    far: FarPeer,
    helper: TunnelHelper,
    core: Core,
    state: str,
    victims: tuple[str, ...],
) -> None:
    """Bring the helper there, kill them, look at the cable, and begin anew."""
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        bring_to(state, core, far, helper)
        wireguard = children_of(helper.process.pid)
        holder = in_a_process(core) if "core" in victims else None
        for victim in victims:
            if victim == "helper":
                helper.process.kill(signal.SIGKILL)
            elif victim == "core":
                os.kill(holder, signal.SIGKILL)
            else:
                for pid in wireguard:
                    with contextlib.suppress(ProcessLookupError):  # closing has been quicker
                        os.kill(pid, signal.SIGKILL)
        if holder is not None:
            os.waitpid(holder, 0)
        until(lambda: all(has_ended(pid) for pid in wireguard))
        if "helper" in victims:
            assert helper.process.wait(PATIENCE_S)
        if core.userspace or "helper" not in victims:
            until(lambda: topology.session.links() == {"lo"})
        dead_ns = now_ns()
        time.sleep(0.1)  # both floods go on: twenty datagrams or more that want to get through
    later = observer.arrived(lambda f: f.time_ns > dead_ns and not f.neighbour_discovery)
    assert later == []
    if state == "up":
        assert observer.arrived(lambda frame: frame.port == 51820)  # the witness can see
    if "helper" in victims:
        helper.restart()
    core.channel.close()
    again = Core(core.root, number=2, device=USERSPACE if core.userspace else KERNEL)
    assert again.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    assert not granted(topology)
    assert topology.session.links() == {"lo"}
    again.rise(far)
    again.close_tunnel()
    again.channel.close()
