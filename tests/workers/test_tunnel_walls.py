"""A tunnel stands inside walls: none opens without them, none outlives a touch of them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net.helper import TunnelHelper
from hil.net.observe import Frame, Observer, now_ns
from hil.net.peer import VM4, FarPeer
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent import ipc
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.killswitch import Walls, remove, ruleset
from tests.waiting import PATIENCE_S, until
from tests.workers.tunnel_parts import Core, code, granted
from tests.workers.walls_parts import Keeper, settle

pytestmark = pytest.mark.rig
WALLS = ruleset(Walls((parse_endpoint(f"{CENTRE4}:443"),), (UPLINK,)))
TOUCHES = (
    "flush ruleset",
    "flush ruleset inet",
    "flush ruleset netdev",
    "delete table inet sdbox",
    "insert rule inet sdbox output accept",
    "flush chain inet sdbox output",
    "add chain inet sdbox output { policy accept; }",
    "add table netdev sdbox { flags dormant; }",
)

RULES_ONLY = TOUCHES[4:6]  # which rules there are is the keeper's to see to


@pytest.fixture
def walls(topology: Topology) -> Iterator[None]:
    """Whole ones again, after a test that has torn them down."""
    yield
    topology.box.nft(remove())
    topology.box.nft(WALLS)


@pytest.fixture
def keeper(topology: Topology, root: Path, helper: TunnelHelper) -> Iterator[Keeper]:
    settle(root)
    made = Keeper(topology, root)
    assert made.hear() == "READY=1"
    yield made
    made.end()


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize("touch", TOUCHES)
def test_a_touch_of_the_walls_takes_the_tunnel_down(
    topology: Topology, far: FarPeer, core: Core, touch: str
) -> None:
    """Fault 83, with nobody to put them back."""
    core.rise(far)
    topology.box.nft(touch)
    assert core.hear_down() == "walls-missing"
    assert topology.session.links() == {"lo"}


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize("touch", [touch for touch in TOUCHES if touch not in RULES_ONLY])
def test_a_tunnel_does_not_open_into_walls_that_do_not_stand(
    topology: Topology, far: FarPeer, core: Core, touch: str
) -> None:
    core.prepare()
    topology.box.nft(touch)
    assert code(core.open(far)) == "walls-missing"
    assert topology.session.links() == {"lo"}


def test_rules_of_others_do_not_end_a_tunnel(topology: Topology, far: FarPeer, core: Core) -> None:
    core.rise(far)
    topology.box.nft("add table ip stranger { chain c { type filter hook output priority 9; }; }")
    topology.box.nft("delete table ip stranger")
    core.close_tunnel()  # it was up to be closed


def no_tunnel(frame: Frame) -> bool:
    return not frame.neighbour_discovery and frame.port != 51820


@pytest.mark.usefixtures("walls")
def test_between_a_flush_and_the_walls_return_nothing_of_the_session_leaves(
    topology: Topology, far: FarPeer, core: Core, keeper: Keeper, root: Path
) -> None:
    """Fault 83, whole: session flooding, root flooding, somebody flushes; then the next session."""
    core.rise(far)
    argv = [sys.executable, "-m", "hil.net.flood", VM4, "9", "500", "30"]
    flood = Process(Unit(argv=argv, network=topology.session, uid=65534, output=root / "flood"))
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        until(lambda: len(observer.arrived()) > 200)
        flushed_ns = now_ns()
        topology.box.nft("flush ruleset")
        assert core.hear_down() == "walls-missing"
        down_ns = now_ns()
        until(lambda: "policy drop" in topology.box.nft("list ruleset"))
    flood.end()
    assert down_ns - flushed_ns < 10**9
    assert observer.arrived(no_tunnel) == []
    assert max(f.time_ns for f in observer.arrived(lambda f: f.port == 51820)) < down_ns
    assert topology.session.links() == {"lo"}
    assert not granted(topology)
    core.number = 2
    core.rise(far)
    core.close_tunnel()


@pytest.mark.usefixtures("walls")
def test_what_can_not_be_taken_down_is_told_and_left_to_the_next_helper(
    topology: Topology, far: FarPeer, core: Core, helper: TunnelHelper, root: Path
) -> None:
    """Somebody owns tables of our names (NFT_TABLE_F_OWNER): the kernel lets nobody else touch."""
    core.rise(far)
    argv = ["nsenter", f"--net={topology.box.path}", "nft", "-i"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as owner:
        assert owner.stdin is not None
        owner.stdin.write(b"flush ruleset; add table inet sdbox { flags owner; }\n")
        owner.stdin.flush()
        answer = core.channel.receive()
        assert helper.process.wait(PATIENCE_S)
        owner.kill()
    assert answer == ipc.Failed(n=core.number, code="tunnel-not-down")
    assert topology.session.links() == {"lo"}
    helper.restart()
    core.channel.close()
    again = Core(root)
    again.close_tunnel()
    again.channel.close()
