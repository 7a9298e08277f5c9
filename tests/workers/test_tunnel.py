"""The tunnel helper as on a box: own user, one capability, a real peer behind a real cable."""

import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net.helper import UID, TunnelHelper
from hil.net.observe import Observer, now_ns
from hil.net.peer import OWN4, OWN6, VM4, VM6, FarPeer
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, CENTRE6, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent import ipc
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel.config import INTERFACE, parse_endpoint
from sdbox_agent.tunnel.killswitch import Walls, ruleset
from tests.memory import Search, forms
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.rig

CENTRE = (parse_endpoint(f"{CENTRE4}:443"), parse_endpoint(f"[{CENTRE6}]:443"))
CORE_UID = os.getuid()
LATE_S = 10.0  # what a busy machine may add to a deadline


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    with Topology() as made:
        made.box.nft(ruleset(Walls(CENTRE, (UPLINK,))))
        yield made


@pytest.fixture(scope="module")
def far(topology: Topology) -> Iterator[FarPeer]:
    with FarPeer(topology) as peer:
        yield peer


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sdbox-rig-") as made:  # pytest's are root's alone
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def helper(topology: Topology, root: Path) -> Iterator[TunnelHelper]:
    with TunnelHelper(topology, root, CORE_UID) as running:
        yield running
    until(lambda: topology.session.links() == {"lo"})  # whatever the test did
    assert topology.box.links() == {"lo", UPLINK}


@pytest.fixture
def core(helper: TunnelHelper, root: Path) -> Iterator["Core"]:
    made = Core(root)
    yield made
    made.channel.close()


class Core:
    """The core's side of the channel."""

    def __init__(self, root: Path, number: int = 1) -> None:
        self.channel: ipc.Channel[ipc.FromTunnel] = ipc.connect(
            Paths(root).tunnel_socket, ipc.FromTunnel, UID
        )
        self.channel.sock.settimeout(PATIENCE_S)
        self.number = number

    def ask(self, message: ipc.Message) -> ipc.Message:
        self.channel.send(message)
        return self.channel.receive()

    def prepare(self) -> bytes:
        answer = self.ask(ipc.PrepareTunnel(n=self.number))
        assert isinstance(answer, ipc.TunnelPrepared)
        return answer.wg_public_key

    def open(self, far: FarPeer, psk: bytes, **change: object) -> ipc.Message:
        fields = {
            "peer": far.public,
            "endpoint": far.endpoint4,
            "psk": psk,
            "addresses": (f"{OWN4}/32", f"{OWN6}/128"),
            "vm": VM4,
            "lease_s": 30,
        }
        return self.ask(ipc.OpenTunnel(n=self.number, **{**fields, **change}))

    def rise(self, far: FarPeer, **change: object) -> ipc.TunnelUp:
        psk = os.urandom(32)
        far.admit(self.prepare(), psk)
        answer = self.open(far, psk, **change)
        assert isinstance(answer, ipc.TunnelUp), answer
        return answer

    def hear_down(self) -> str:
        answer = self.channel.receive()
        assert isinstance(answer, ipc.TunnelDown)
        return answer.code

    def close_tunnel(self) -> None:
        assert self.ask(ipc.CloseTunnel(n=self.number)) == ipc.TunnelClosed(n=self.number)


def code(answer: ipc.Message) -> str:
    assert isinstance(answer, (ipc.TunnelDown, ipc.Failed)), answer
    return answer.code


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return True


def granted(topology: Topology) -> bool:
    shown = [topology.box.nft(f"list set {t} sdbox endpoint4") for t in ("inet", "netdev")]
    return any("elements" in text for text in shown)


# -- the good life -------------------------------------------------------------------------------


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


def test_the_same_helper_serves_session_after_session_with_new_keys(
    far: FarPeer, core: Core
) -> None:
    keys = set()
    for number in (1, 2, 3):
        core.number = number
        keys.add(core.prepare())
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


def test_a_handshake_that_never_completes_ends_in_time(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    core.prepare()
    start_s = time.monotonic()
    answer = core.open(far, os.urandom(32), endpoint=f"{CENTRE4}:51999")  # nobody there
    assert code(answer) == "handshake-timeout"
    assert 4.9 < time.monotonic() - start_s < 5 + LATE_S
    assert topology.session.links() == {"lo"}
    assert not granted(topology)


def test_a_wrong_preshared_key_never_opens(topology: Topology, far: FarPeer, core: Core) -> None:
    far.admit(core.prepare(), os.urandom(32))
    assert code(core.open(far, os.urandom(32))) == "handshake-timeout"
    assert topology.session.links() == {"lo"}


def test_a_silent_vm_ends_in_time(topology: Topology, far: FarPeer, core: Core) -> None:
    psk = os.urandom(32)
    far.admit(core.prepare(), psk)
    start_s = time.monotonic()
    assert code(core.open(far, psk, vm="10.77.0.9")) == "vm-silent"
    assert 2.9 < time.monotonic() - start_s < 3 + LATE_S
    assert topology.session.links() == {"lo"}


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


def test_a_vm_that_is_lost_is_noticed(topology: Topology, far: FarPeer, core: Core) -> None:
    core.rise(far)
    far.admit(b"\x01" * 32, os.urandom(32))  # the gateway removes our peer
    start_s = time.monotonic()
    assert core.hear_down() == "tunnel-lost"
    assert time.monotonic() - start_s < 7 + LATE_S
    assert topology.session.links() == {"lo"}


def test_no_route_is_told_at_once(topology: Topology, far: FarPeer, core: Core) -> None:
    core.prepare()
    assert code(core.open(far, bytes(32), endpoint="203.0.113.1:51820")) == "no-route"
    assert topology.session.links() == {"lo"}


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": ("0.0.0.0/0",)},
        {"addresses": (f"{CENTRE4}/32",)},
        {"endpoint": "127.0.0.1:51820"},
        {"vm": CENTRE4},
    ],
)
def test_an_absurd_grant_is_refused_and_nothing_stays(
    topology: Topology, far: FarPeer, core: Core, change: dict[str, object]
) -> None:
    core.prepare()
    assert code(core.open(far, bytes(32), **change)) == "centre-answer-invalid"
    assert topology.session.links() == {"lo"}


# -- deaths --------------------------------------------------------------------------------------


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


def test_wireguard_killed_ends_the_tunnel(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper
) -> None:
    core.rise(far)
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        os.kill(child_of(helper.process.pid), signal.SIGKILL)
        killed_ns = now_ns()
        assert core.hear_down() == "tunnel-lost"
        assert now_ns() - killed_ns < 2.5 * 10**9  # by its death: lost probes take 3 s
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


# -- whoever misbehaves --------------------------------------------------------------------------


def test_an_order_out_of_turn_takes_everything_down(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    assert code(core.open(far, bytes(32))) == "worker-protocol"
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
        far.admit(core.prepare(), bytes(32))
        assert code(core.open(far, bytes(32))) == "tunnel-fault"
        assert bare.session.links() == {"lo"}
        core.channel.close()


def test_another_way_out_of_the_session_refuses_the_tunnel(
    topology: Topology, far: FarPeer, core: Core
) -> None:
    topology.session.ip("link add stray type veth peer name yarts")
    try:
        core.prepare()
        assert code(core.open(far, bytes(32))) == "tunnel-fault"
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
