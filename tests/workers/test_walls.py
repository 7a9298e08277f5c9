"""The keeper of the walls as its unit starts it: own user, one capability.

Whoever touches the walls or plugs something in, nothing passes but what passed before.
"""

import contextlib
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.box import WALLS_UID
from hil.net.namespace import Namespace
from hil.net.observe import Observer, now_ns
from hil.net.topology import CENTRE4, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent.tunnel import nfset
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.guard import Guard
from sdbox_agent.tunnel.kernel import Sets
from sdbox_agent.tunnel.killswitch import Walls
from sdbox_agent.workers import walls
from tests.waiting import until
from tests.workers.walls_parts import SETTINGS, Keeper, settle

pytestmark = pytest.mark.rig
ENDPOINT = parse_endpoint(f"{CENTRE4}:51820")


@pytest.fixture
def topology() -> Iterator[Topology]:
    with Topology() as made:
        yield made


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sdbox-rig-") as made:  # pytest's are root's alone
        path = Path(made)
        path.chmod(0o755)
        settle(path)
        yield path


@pytest.fixture
def keeper(topology: Topology, root: Path) -> Iterator[Keeper]:
    running = Keeper(topology, root)
    assert running.hear() == "READY=1"
    yield running
    running.end()


@pytest.fixture
def guard(topology: Topology, keeper: Keeper) -> Iterator[Guard]:
    made = topology.box.run(Guard)
    yield made
    made.close()


def listed(box: Namespace) -> str:
    """Our two tables; nothing while one is missing."""
    with contextlib.suppress(subprocess.CalledProcessError):
        return "".join(box.nft(f"list table {family} sdbox") for family in ("inet", "netdev"))
    return ""


def test_it_is_its_own_user_with_one_capability(keeper: Keeper) -> None:
    lines = Path(f"/proc/{keeper.process.pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split() == [str(WALLS_UID)] * 4
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {f"{1 << 12:016x}"}


@pytest.mark.parametrize(
    "foreign",
    [
        "flush ruleset",
        "flush ruleset netdev",
        "delete table inet sdbox",
        "insert rule inet sdbox output accept",
        "flush chain netdev sdbox leaving",
        f"flush chain netdev sdbox egress-{UPLINK}; delete chain netdev sdbox egress-{UPLINK}",
        f"insert rule netdev sdbox egress-{UPLINK} accept",
        f"flush chain netdev sdbox egress-{UPLINK}",
        "add chain inet sdbox input { policy accept; }",
        "add table inet sdbox { flags dormant; }",
        # tables of our name that are none of ours, chains and all
        "flush ruleset; add table inet sdbox; add chain inet sdbox input "
        "{ type filter hook output priority 5; policy accept; }",
    ],
)
def test_whatever_another_program_does_to_the_walls_is_undone(
    keeper: Keeper, guard: Guard, foreign: str
) -> None:
    before = listed(keeper.box)
    found = guard.look()
    assert found is not None
    keeper.box.nft(foreign)
    until(lambda: listed(keeper.box) == before)
    again = guard.look()
    assert again is not None
    assert again.devices == found.devices
    assert again.words != found.words  # so the helper, too, sees that they were touched
    assert "walls-missing" in keeper.log


def test_other_peoples_rules_are_left_alone_and_ours_too(keeper: Keeper, guard: Guard) -> None:
    before = guard.look()
    keeper.box.nft("add table ip stranger")
    keeper.box.nft("delete table ip stranger")
    keeper.box.nft("insert rule inet sdbox forward accept")  # so that it surely has looked
    until(lambda: "walls-missing" in keeper.log)
    assert keeper.log.count("walls-missing") == 1
    assert before is not None


def test_a_flush_shuts_the_endpoint_out_until_it_is_granted_again(keeper: Keeper) -> None:
    sets = keeper.box.run(Sets.here)
    sets.batch(nfset.allow(ENDPOINT))
    assert "51820" in listed(keeper.box)
    keeper.box.nft("flush ruleset")
    until(lambda: "policy drop" in listed(keeper.box))
    assert "51820" not in listed(keeper.box)
    sets.close()


@pytest.mark.parametrize("family", ["inet", "netdev"])
def test_one_table_gone_shuts_the_endpoint_out_of_the_other_too(
    keeper: Keeper, guard: Guard, family: str
) -> None:
    sets = keeper.box.run(Sets.here)
    sets.batch(nfset.allow(ENDPOINT))
    before = guard.look()
    keeper.box.nft(f"delete table {family} sdbox")
    until(lambda: "walls-missing" in keeper.log and guard.look() not in {None, before})
    until(lambda: "51820" not in listed(keeper.box))
    sets.close()


def test_its_end_leaves_the_walls_and_its_successor_makes_them_its_own(
    keeper: Keeper, guard: Guard
) -> None:
    before = listed(keeper.box)
    keeper.process.end()
    assert guard.look() is not None
    keeper.box.nft("add rule inet sdbox output accept")  # while nobody looked
    keeper.restart()
    assert listed(keeper.box) == before


@pytest.mark.parametrize("change", [("uplink", "up link"), ("addresses", "x")])
def test_without_settings_everything_is_kept_shut(
    topology: Topology, root: Path, change: tuple[str, str]
) -> None:
    settle(root, SETTINGS.replace(*change))
    running = Keeper(topology, root)
    assert running.hear().startswith("STATUS=")  # the uplink is not named
    assert running.hear() == "READY=1"
    assert "box.toml" in running.log
    until(lambda: not is_up(topology.box, UPLINK))
    started_ns = now_ns()
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        for _ in range(3):  # as whoever configures the network does, after the walls
            try_everything(topology.box, UPLINK)
            until(lambda: not is_up(topology.box, UPLINK))
            raw(topology.box, UPLINK)
    assert observer.arrived(lambda f: f.time_ns > started_ns and not f.neighbour_discovery) == []
    assert listed(topology.box).count("policy drop") == 3
    assert CENTRE4 not in listed(topology.box)
    running.end()


# -- devices ---------------------------------------------------------------------------------------


def plug(topology: Topology, name: str, *, at: str = "usb") -> None:
    """A device appears in the box; its other end, in the centre's namespace, is `at`."""
    topology.box.ip(f"link add {name} type veth peer name {at} netns {topology.centre.name}")
    topology.centre.ip(f"link set {at} up")


def try_everything(box: Namespace, device: str) -> None:
    """Raise it, give it addresses and a route, and send, as root, frames of every kind."""
    box.ip(f"link set {device} up", f"addr replace 198.51.100.2/24 dev {device}")
    for host in ("198.51.100.1", CENTRE4):
        with box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            for port in (9, 53, 67, 443, 51820):
                sock.settimeout(0)
                with contextlib.suppress(OSError):
                    sock.sendto(b"out", (host, port))


def raw(box: Namespace, device: str) -> None:
    with box.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0))
        for ethertype in (0x0800, 0x86DD, 0x88B5):
            with contextlib.suppress(OSError):
                sock.send(b"\xff" * 12 + struct.pack("!H", ethertype) + bytes(60))


def devices(guard: Guard) -> frozenset[str]:
    found = guard.look()
    assert found is not None
    return found.devices


def is_up(box: Namespace, device: str) -> bool:
    return "UP" in box.show(f"link show {device}").split("<")[1].split(">")[0].split(",")


@pytest.mark.parametrize("name", ["usb0", "eth1", "wlan0"])
def test_a_device_that_is_not_named_is_set_down_as_often_as_it_is_raised(
    topology: Topology, keeper: Keeper, name: str
) -> None:
    plug(topology, name)
    with Observer(topology.centre, "usb") as observer:
        for _ in range(3):
            try_everything(topology.box, name)
            until(lambda: not is_up(topology.box, name))
            raw(topology.box, name)
    assert observer.arrived() == []
    until(lambda: name in keeper.hear())


def test_an_uplink_that_comes_late_has_its_hook_and_carries_what_the_other_does(
    topology: Topology, keeper: Keeper, guard: Guard
) -> None:
    for _ in range(2):  # plugged in, pulled out, and again
        plug(topology, "late0")
        until(lambda: "late0" in devices(guard))
        topology.box.ip("link set late0 up")
        with Observer(topology.centre, "usb") as observer:
            raw(topology.box, "late0")
        assert is_up(topology.box, "late0")
        assert observer.arrived(lambda frame: not frame.neighbour_discovery) == []
        topology.box.ip("link del late0")


def test_an_uplink_keeps_its_hook_though_another_leaves_as_the_walls_are_raised(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    with topology.box.entered():
        keeper = walls.Keeper(Walls((), (UPLINK, "late0")))
        keeper._raise_walls()
        keeper._see_to_devices()
        topology.box.nft("flush ruleset")
        real = walls._nft
        monkeypatch.setattr(
            walls, "_nft", lambda text: '"late0" priority' not in text and real(text)
        )
        monkeypatch.setattr(keeper, "_present", lambda: {UPLINK, "late0"})
        keeper._see_to_walls()
        assert devices(keeper._guard) == {UPLINK}
    for held in (keeper._guard, keeper._links, keeper._news):
        held.close()


def test_a_second_interface_and_injected_routes_change_nothing(
    topology: Topology, keeper: Keeper
) -> None:
    """Fault 80: the host's DHCP gives a default route and a more specific one to the endpoint."""
    plug(topology, "eth1")
    topology.box.ip(
        "link set eth1 up",
        "addr add 198.51.100.2/24 dev eth1",
        f"route add {CENTRE4}/32 dev {UPLINK} proto dhcp",
        f"route add default via {CENTRE4} proto dhcp",
        "route add 203.0.113.0/25 via 192.0.2.77 proto dhcp",
    )
    with (
        Observer(topology.centre, CENTRE_SIDE) as witness,
        Observer(topology.centre, "usb") as usb,
        topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        for host in ("203.0.113.1", "198.51.100.1", "8.8.8.8", CENTRE4):
            for port in (53, 123, 51820):
                with contextlib.suppress(OSError):
                    sock.sendto(b"out", (host, port))
    assert witness.arrived(lambda frame: not frame.neighbour_discovery) == []
    assert usb.arrived() == []
