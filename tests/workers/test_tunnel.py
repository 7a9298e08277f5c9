"""The tunnel helper as on a box: own user, one capability, a real peer behind a real cable."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from hil.net.helper import UID, TunnelHelper
from hil.net.observe import Observer, now_ns
from hil.net.peer import VM4, VM6, FarPeer
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent import ipc
from sdbox_agent.paths import Paths
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES
from sdbox_agent.tunnel.config import INTERFACE
from tests.devices import by_either
from tests.memory import Search, forms
from tests.waiting import PATIENCE_S, until
from tests.workers.tunnel_parts import CORE_UID, Core, child_of, children_of, code, granted

pytestmark = pytest.mark.rig


# -- the good life -------------------------------------------------------------------------------


@by_either
@pytest.mark.parametrize("v6", [False, True])
def test_a_tunnel_opens_carries_and_closes(
    topology: Topology, far: FarPeer, core: Core, v6: bool
) -> None:
    change = {"endpoint": far.endpoint6, "vm": VM6} if v6 else {}
    up = core.rise(far, **change)
    assert 0 < up.handshake_ms < 3000
    assert 0 < up.vm_ms < 3000
    assert topology.session.links() == {"lo", INTERFACE}
    assert topology.box.links() == {"lo", UPLINK}
    assert far.state().handshake_ns > 0
    assert "fe80:" not in topology.session.show("-6 addr")  # it would solicit routers
    family, vm = (socket.AF_INET6, VM6) if v6 else (socket.AF_INET, VM4)
    with topology.vm[0].socket(family, socket.SOCK_DGRAM) as server:
        server.bind((vm, 7))
        server.settimeout(PATIENCE_S)
        with topology.session.socket(family, socket.SOCK_DGRAM) as client:
            client.sendto(b"through", (vm, 7))
        assert server.recv(100) == b"through"
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=True)
    core.close_tunnel()
    assert topology.session.links() == {"lo"}
    assert not granted(topology)
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)


@by_either
def test_the_same_helper_serves_session_after_session_with_new_keys(
    far: FarPeer, core: Core
) -> None:
    keys = set()
    for number in (1, 2, 3):
        core.number = number
        keys.add(core.prepare().wg_public_key)
        core.close_tunnel()
        core.rise(far)
        core.close_tunnel()
    assert len(keys) == 3


def test_helper_and_wireguard_hold_one_capability_and_their_own_user(
    helper: TunnelHelper, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    for pid in (helper.process.pid, child_of(helper.process.pid)):
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {f"{1 << 12:016x}"}
        assert status["Uid"].split() == [str(UID)] * 4
        assert status["NoNewPrivs"] == "1"


@by_either
def test_everything_leaving_an_open_box_is_wireguard_to_the_endpoint(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        core.rise(far)
        with topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for host in (VM4, CENTRE4, "198.51.100.1"):
                sock.sendto(b"any", (host, 53))
        core.close_tunnel()
    left = observer.arrived(lambda frame: not frame.neighbour_discovery)
    assert {(f.protocol, f.destination, f.port) for f in left} == {(17, CENTRE4, 51820)}


# -- the ends ------------------------------------------------------------------------------------


@by_either
def test_a_handshake_that_never_completes_ends_in_time(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.prepare()
    start_s = time.monotonic()
    answer = core.open(far, endpoint=f"{CENTRE4}:51999")  # nobody there
    assert code(answer) == "udp-blocked"
    assert time.monotonic() - start_s > 4.9
    assert topology.session.links() == {"lo"}
    assert not granted(topology)


@by_either
@pytest.mark.parametrize(
    "change",
    [
        {"psk_salt": bytes(32)},
        {"kem_ciphertext": bytes(KEM_CIPHERTEXT_BYTES)},
        {"receipt_sha256": bytes(32)},
        {"receipt_sha256": bytes(32), "endpoint": FarPeer.endpoint6},
    ],
    ids=" ".join,
)
def test_a_preshared_key_made_of_anything_else_never_opens_and_is_told_from_silence(
    topology: Topology, far: FarPeer, core: Core, change: dict[str, object]
) -> None:
    core.prepare()
    assert code(core.open(far, **change)) == "handshake-refused"
    assert topology.session.links() == {"lo"}


@by_either
def test_a_gateway_that_does_not_know_us_is_silent(far: FarPeer, core: Core) -> None:
    core.prepare()
    opening = core.opening(far)
    far.admit(os.urandom(32), bytes(32))  # from here, no different from UDP that is blocked
    assert code(core.ask(opening)) == "udp-blocked"


@by_either
def test_a_silent_vm_ends_in_time(topology: Topology, far: FarPeer, core: Core) -> None:
    core.prepare()
    start_s = time.monotonic()
    assert code(core.open(far, vm="10.77.0.9")) == "vm-silent"
    assert time.monotonic() - start_s > 2.9
    assert topology.session.links() == {"lo"}


@by_either
def test_the_lease_ends_the_tunnel_of_a_core_that_is_stopped(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far, lease_s=2)
    until(lambda: topology.session.links() == {"lo"})  # and hears nothing
    assert core.hear_down() == "lease-expired"
    assert not granted(topology)
    assert code(core.ask(ipc.ExtendLease(n=1, lease_s=60))) == "lease-expired"


def test_an_extended_lease_lasts_longer(topology: Topology, far: FarPeer, core: Core) -> None:
    core.rise(far, lease_s=2)
    start_s = time.monotonic()
    core.channel.send(ipc.ExtendLease(n=1, lease_s=3))
    assert core.hear_down() == "lease-expired"
    assert time.monotonic() - start_s > 2.9


def test_no_route_is_told_at_once(topology: Topology, far: FarPeer, core: Core) -> None:
    core.prepare()
    assert code(core.open(far, endpoint="203.0.113.1:51820")) == "no-route"
    assert topology.session.links() == {"lo"}


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": ("0.0.0.0/0",)},
        {"addresses": (f"{CENTRE4}/32",)},
        {"endpoint": "127.0.0.1:51820"},
        {"endpoint": "gateway.example:51820"},  # no name service here
        {"vm": CENTRE4},
    ],
)
def test_an_absurd_grant_is_refused_and_nothing_stays(
    topology: Topology, far: FarPeer, core: Core, change: dict[str, object]
) -> None:
    core.prepare()
    assert code(core.open(far, **change)) == "centre-answer-invalid"
    assert topology.session.links() == {"lo"}


@by_either
def test_with_keys_it_is_up_and_nothing_can_pass(topology: Topology, core: Core) -> None:
    core.prepare()
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)  # by now it has its key, too
    assert ",UP" in topology.session.show(f"link show {INTERFACE}")
    for family in ("-4", "-6"):
        assert topology.session.show(f"{family} address show dev {INTERFACE}").strip() == ""
        assert topology.session.show(f"{family} route show dev {INTERFACE}").strip() == ""
    assert not granted(topology)


def test_a_warm_tunnel_has_its_process_and_an_interface_that_is_down(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper
) -> None:
    core.channel.send(ipc.WarmTunnel(n=core.number))
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    (wireguard,) = children_of(helper.process.pid)
    assert topology.session.links() == {"lo", INTERFACE}
    assert ",UP" not in topology.session.show(f"link show {INTERFACE}")
    assert "inet" not in topology.session.show(f"addr show {INTERFACE}")
    assert not granted(topology)
    core.rise(far)
    assert children_of(helper.process.pid) == [wireguard]
    core.close_tunnel()
    core.channel.send(ipc.WarmTunnel(n=core.number))
    core.close_tunnel()
    assert children_of(helper.process.pid) == []


def test_a_warm_tunnel_whose_process_dies_is_told(core: Core, helper: TunnelHelper) -> None:
    core.channel.send(ipc.WarmTunnel(n=core.number))
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    os.kill(child_of(helper.process.pid), signal.SIGKILL)
    assert core.hear_down() == "tunnel-lost"


# -- whoever misbehaves --------------------------------------------------------------------------


def test_an_order_out_of_turn_takes_everything_down(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    assert code(core.open(far)) == "worker-protocol"
    core.channel.send(ipc.WarmTunnel(n=core.number))
    assert code(core.open(far)) == "worker-protocol"  # no key yet
    core.channel.send(ipc.WarmTunnel(n=core.number))
    assert code(core.ask(ipc.PrepareTunnel(n=2))) == "worker-protocol"
    core.prepare()
    assert code(core.ask(ipc.WarmTunnel(n=core.number))) == "worker-protocol"
    core.rise(far)
    assert code(core.ask(ipc.PrepareTunnel(n=2))) == "worker-protocol"
    assert topology.session.links() == {"lo"}
    core.rise(far)
    assert code(core.ask(ipc.ExtendLease(n=9, lease_s=60))) == "worker-protocol"
    assert topology.session.links() == {"lo"}


def test_a_frame_that_is_no_message_takes_everything_down(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.rise(far)
    core.channel.sock.send(b'{"v":1,"n":1,"t":"open","insertion":1}')
    with pytest.raises(ipc.Closed):
        core.channel.receive()
    assert topology.session.links() == {"lo"}


def test_a_second_client_is_turned_away_and_the_first_goes_on(
    far: FarPeer, core: Core, root: Path
) -> None:
    core.rise(far)
    second = Core(root, number=2)
    with pytest.raises((ipc.Closed, OSError)):
        second.ask(ipc.CloseTunnel(n=1))
    second.channel.close()
    assert core.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=True)


def test_a_foreign_uid_is_turned_away(helper: TunnelHelper, root: Path, core: Core) -> None:
    core.channel.close()
    script = (  # says nothing, and may not even sit there
        "import socket,sys\n"
        "s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET); s.connect(sys.argv[1])\n"
        "s.settimeout(20); sys.exit(len(s.recv(99)))"
    )
    argv = ["/usr/bin/python3", "-c", script, str(Paths(root).tunnel_socket)]
    stranger = Process(Unit(argv=argv, uid=61003, directory=Path("/")))
    assert stranger.wait(PATIENCE_S)
    assert stranger.status == 0
    stranger.end()
    ours = Core(root)
    assert ours.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    ours.channel.close()


def test_without_walls_no_tunnel_opens(root: Path) -> None:
    with (
        Topology() as bare,
        FarPeer(bare, name=f"b{os.getpid()}") as far,
        TunnelHelper(bare, root, CORE_UID),
    ):
        core = Core(root)
        core.prepare()
        assert code(core.open(far)) == "walls-missing"
        assert bare.session.links() == {"lo"}
        core.channel.close()


def test_another_way_out_of_the_session_refuses_the_tunnel(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    topology.session.ip("link add stray type veth peer name yarts")
    try:
        core.prepare()
        assert code(core.open(far)) == "tunnel-fault"
    finally:
        topology.session.ip("link del stray")


def test_a_device_that_comes_while_it_is_open_ends_it(
    topology: Topology, core: Core, far: FarPeer
) -> None:
    core.rise(far)
    topology.session.ip("link add stray type veth peer name yarts")
    try:
        assert core.hear_down() == "tunnel-fault"
        assert INTERFACE not in topology.session.links()
    finally:
        topology.session.ip("link del stray")


@pytest.mark.parametrize("where", ["box", "session"])
def test_a_leftover_interface_is_swept_at_start(
    topology: Topology, helper: TunnelHelper, root: Path, core: Core, far: FarPeer, where: str
) -> None:
    core.close_tunnel()  # it has started
    getattr(topology, where).ip(f"link add {INTERFACE} type veth peer name leftover")
    helper.restart()
    core.channel.close()
    again = Core(root)
    again.rise(far)
    again.channel.close()


# -- secrets -------------------------------------------------------------------------------------


def test_the_private_key_is_nowhere_but_in_wireguards_memory(
    helper: TunnelHelper, far: FarPeer, core: Core, root: Path
) -> None:
    core.rise(far)
    key = private_key(root)[1:-1]  # wireguard-go clamps the ends
    search = Search({"key": forms(key)})
    wireguard = child_of(helper.process.pid)
    for pid in (helper.process.pid, wireguard):
        assert search.shown(pid) == set()
    assert search.on_disk(root) == {}
    assert search.held(wireguard) == {"key"}  # the control: wireguard-go does hold it
    for close in (False, True):  # the helper has handed it on, and read it back in every answer
        if close:
            core.close_tunnel()
        assert search.held(helper.process.pid) == set()


def private_key(root: Path) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(str(Paths(root).tunnel_runtime / f"{INTERFACE}.sock"))
        sock.sendall(b"get=1\n\n")
        return bytes.fromhex(sock.recv(4096).split(b"private_key=")[1][:64].decode())


# -- how fast ------------------------------------------------------------------------------------


@by_either
def test_no_packet_leaves_once_closing_has_begun(
    topology: Topology, far: FarPeer, core: Core, root: Path
) -> None:
    core.rise(far)
    argv = [sys.executable, "-m", "hil.net.flood", VM4, "9", "500", "30"]
    flood = Process(Unit(argv=argv, network=topology.session, uid=65534, output=root / "flood"))
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        until(lambda: len(observer.arrived()) > 200)
        asked_ns = now_ns()
        core.close_tunnel()
        closed_ns = now_ns()
        time.sleep(0.05)
    flood.end()
    last_ns = max(f.time_ns for f in observer.arrived(lambda f: f.port == 51820))
    assert last_ns < asked_ns + 500 * 10**6  # 1 ms on a quiet machine
    assert last_ns < closed_ns


def test_a_helper_with_nothing_up_uses_no_time(helper: TunnelHelper, core: Core) -> None:
    core.close_tunnel()
    schedstat = Path(f"/proc/{helper.process.pid}/schedstat")

    def is_never_scheduled() -> bool:
        before = schedstat.read_text()
        time.sleep(1)
        return schedstat.read_text() == before

    until(is_never_scheduled)
