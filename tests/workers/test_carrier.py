"""WireGuard over TLS where a host drops UDP: the carrier, between real helper and real server."""

import contextlib
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hil.issuing import Issuing, Pair
from hil.net.carrier import (
    CARRIER_PORT,
    CarrierEnd,
    Carriers,
    Served,
    TlsOpening,
    connect_proxy,
    udp_dropped,
)
from hil.net.helper import TunnelHelper
from hil.net.observe import Frame, Observer
from hil.net.peer import VM4, FarPeer
from hil.net.process import Process
from hil.net.topology import CARRIER4, CENTRE6, CENTRE_SIDE, PROXY4, Topology
from sdbox_agent import ipc
from sdbox_agent.errors import Fault
from sdbox_agent.tunnel import carriage
from sdbox_agent.tunnel.config import CARRIER_UID
from sdbox_agent.tunnel.relay import Ended, Relay, loopback
from sdbox_agent.workers import carrier
from tests.tunnel import ends
from tests.waiting import until
from tests.workers.tunnel_parts import CARRIER6_AT, PROXY_AT, Core, granted, has_ended

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def issuing() -> Issuing:
    return Issuing()


@pytest.fixture(scope="module")
def pair(issuing: Issuing) -> Pair:
    return issuing.server(CARRIER4)


@pytest.fixture(scope="module")
def files(pair: Pair) -> Iterator[tuple[Path, Path]]:
    with ends.files(pair) as written:
        yield written


@pytest.fixture
def carriers(topology: Topology, root: Path, helper: TunnelHelper) -> Iterator[Carriers]:
    with Carriers(topology, root) as running:
        yield running
        until(lambda: all(process.wait(0) for process in running.processes))  # each one's own end


@pytest.fixture
def end(topology: Topology, files: tuple[Path, Path], pair: Pair) -> Iterator[CarrierEnd]:
    with CarrierEnd(topology, files, pair) as running:
        yield running


@pytest.fixture(autouse=True)
def no_udp(topology: Topology) -> Iterator[None]:
    with udp_dropped(topology):
        yield


Opened = Callable[..., ipc.Message]


@pytest.fixture
def opened(core: Core, far: FarPeer, carriers: Carriers) -> Opened:
    """Opens a tunnel that has a carrier, plays the service manager, and gives the answer."""

    def open_it(offer: ipc.Carrier, **change: object) -> ipc.Message:
        core.channel.sock.settimeout(30)
        core.prepare()
        core.channel.send(core.opening(far, carrier=offer, **change))
        carriers.start()
        return core.channel.receive()

    return open_it


def carrier_granted(topology: Topology) -> bool:
    shown = [topology.box.nft(f"list set {t} sdbox carrier4") for t in ("inet", "netdev")]
    return any("elements" in text for text in shown)


def through(topology: Topology) -> bool:
    """Does a datagram reach the VM?"""
    with topology.vm[0].socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((VM4, 7))
        server.settimeout(10)
        with topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"through", (VM4, 7))
        return server.recv(100) == b"through"


def to(frames: list[Frame]) -> set[tuple[int | None, str, int]]:
    return {(frame.protocol, frame.destination, frame.port) for frame in frames}


# -- it carries ----------------------------------------------------------------------------------


def test_where_udp_is_dropped_the_tunnel_opens_over_tls_and_nothing_else_leaves(
    topology: Topology,
    core: Core,
    carriers: Carriers,
    end: CarrierEnd,
    far: FarPeer,
    opened: Opened,
) -> None:
    with Observer(topology.centre, CENTRE_SIDE) as observer:
        up = opened(end.offer)
        assert isinstance(up, ipc.TunnelUp), up
        assert up.carrier == "tls"
        assert up.vm_ms < 15_000
        first_tls_ns = min(frame.time_ns for frame in observer.frames if frame.port == CARRIER_PORT)
        assert through(topology)
        assert not granted(topology)  # WireGuard's own packets: refused at the walls
        topology.box.ip("addr add 192.0.2.77/24 dev uplink", "addr del 192.0.2.77/24 dev uplink")
        assert through(topology)  # a box's other addresses and routes change nothing of it
        assert carrier_granted(topology)
        state = far.state()
        assert str(state.endpoint).startswith("127.0.0.1:")
        core.close_tunnel()
    left = observer.arrived(lambda frame: not frame.neighbour_discovery)
    carried = [frame for frame in left if frame.time_ns >= first_tls_ns]
    assert to(carried) == {(6, CARRIER4, CARRIER_PORT)}
    assert topology.session.links() == {"lo"}
    assert not carrier_granted(topology)


def test_over_ipv6_the_same(
    topology: Topology, core: Core, files: tuple[Path, Path], pair: Pair, opened: Opened
) -> None:
    with (
        CarrierEnd(topology, files, pair, at=CARRIER6_AT) as end,
        Observer(topology.centre, CENTRE_SIDE) as observer,
    ):
        up = opened(end.offer)
        assert isinstance(up, ipc.TunnelUp), up
        assert up.carrier == "tls"
        assert through(topology)
        core.close_tunnel()
    tcp = observer.arrived(lambda frame: frame.protocol == 6)
    assert to(tcp) == {(6, CENTRE6, 8443)}


def test_where_no_route_leads_to_the_endpoint_one_to_the_carrier_will_do(
    topology: Topology, core: Core, end: CarrierEnd, opened: Opened
) -> None:
    up = opened(end.offer, endpoint="203.0.113.1:51820")
    assert isinstance(up, ipc.TunnelUp), up
    assert up.carrier == "tls"
    assert through(topology)
    core.close_tunnel()


def test_through_the_hosts_proxy_only_the_proxy_is_spoken_to(
    topology: Topology, core: Core, files: tuple[Path, Path], pair: Pair, opened: Opened
) -> None:
    with (
        Served(topology.centre, (PROXY4, 3128), connect_proxy) as proxy,
        CarrierEnd(topology, files, pair, proxy=PROXY_AT) as end,
    ):
        with Observer(topology.centre, CENTRE_SIDE) as observer:
            up = opened(end.offer)
            assert isinstance(up, ipc.TunnelUp), up
            assert up.carrier == "tls"
            assert through(topology)
            core.close_tunnel()
        tcp = observer.arrived(lambda frame: frame.protocol == 6)
        assert to(tcp) == {(6, PROXY4, 3128)}
        until(lambda: proxy.heard)
    assert proxy.heard[0].startswith(f"CONNECT {CARRIER4}:{CARRIER_PORT} HTTP/1.1".encode())


# -- what stands in the way ----------------------------------------------------------------------


def refusal(answer: ipc.Message) -> tuple[str, str]:
    assert isinstance(answer, ipc.TunnelDown), answer
    return answer.code, answer.issuer


@pytest.fixture
def opening(issuing: Issuing) -> TlsOpening:
    with ends.files(issuing.server("proxy.test")) as files:
        return TlsOpening(files)


def test_who_opens_tls_is_named_and_hears_nothing(
    topology: Topology,
    pair: Pair,
    files: tuple[Path, Path],
    opening: TlsOpening,
    opened: Opened,
) -> None:
    with Served(topology.centre, (CARRIER4, CARRIER_PORT), opening) as box:
        offer = CarrierEnd.offered(pair)
        code, issuer = refusal(opened(offer))
        until(lambda: box.heard)
    assert code == "tls-inspected"
    assert "CN=" in issuer
    assert box.heard == [b""]
    assert topology.session.links() == {"lo"}
    assert not carrier_granted(topology)


def test_nobody_at_443_either_is_told(pair: Pair, opened: Opened) -> None:
    assert refusal(opened(CarrierEnd.offered(pair))) == ("carrier-unreachable", "")


def test_a_carrier_that_hangs_is_told_as_that(
    topology: Topology, core: Core, far: FarPeer, carriers: Carriers, end: CarrierEnd
) -> None:
    """Nobody ever takes the connection that the helper has made."""
    core.channel.sock.settimeout(30)
    core.prepare()
    assert refusal(core.open(far, carrier=end.offer)) == ("carrier-worker-died", "")
    assert topology.session.links() == {"lo"}


def test_what_it_takes_to_start_is_not_dialled(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    given, said = [], []

    def dial(_way: object, _hangup: object, within_s: float) -> None:
        given.append(within_s)
        raise Fault("carrier-unreachable")

    monkeypatch.setattr(carrier, "dial", dial)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        helper: carrier.Helper = ipc.Channel(ours, carriage.ToCarrier, os.getuid())
        monkeypatch.setattr(helper, "send", said.append)
        for left_s in (1.0, 1000.0):
            until_s = time.monotonic() + left_s
            asked = carriage.Carry(carrier=CarrierEnd.offered(pair), port=9, until_s=until_s)
            carrier._serve(helper, asked)
        with pytest.raises(Ended):
            carrier._serve(helper, msgspec.structs.replace(asked, until_s=time.monotonic()))
    assert given[0] <= 1.0
    assert given[1:] == [carriage.DIAL_S]
    assert [message.code for message in said] == ["carrier-unreachable"] * 2


def test_a_carrier_of_another_uid_is_not_believed(
    topology: Topology, core: Core, far: FarPeer, carriers: Carriers, end: CarrierEnd
) -> None:
    core.channel.sock.settimeout(30)
    core.prepare()
    core.channel.send(core.opening(far, carrier=end.offer))
    carriers.start(uid=61099)
    assert refusal(core.channel.receive())[0] == "carrier-worker-died"
    assert end.taken == 0  # nor let through the walls


# -- ends ----------------------------------------------------------------------------------------


def test_the_carriers_death_takes_the_tunnel_down(
    topology: Topology, core: Core, carriers: Carriers, end: CarrierEnd, opened: Opened
) -> None:
    assert isinstance(opened(end.offer), ipc.TunnelUp)
    carriers.processes[0].kill(signal.SIGKILL)
    assert core.hear_down() == "carrier-lost"
    assert topology.session.links() == {"lo"}
    assert not carrier_granted(topology)


def test_the_gateways_end_going_takes_the_tunnel_down(
    topology: Topology, core: Core, files: tuple[Path, Path], pair: Pair, opened: Opened
) -> None:
    with CarrierEnd(topology, files, pair) as end:
        assert isinstance(opened(end.offer), ipc.TunnelUp)
    assert core.hear_down() == "carrier-lost"
    assert topology.session.links() == {"lo"}


def test_closing_ends_the_connection_at_once_and_its_token_is_worth_nothing_more(
    core: Core, carriers: Carriers, end: CarrierEnd, opened: Opened
) -> None:
    assert isinstance(opened(end.offer), ipc.TunnelUp)
    process = carriers.processes[0]
    assert_bare(process.pid)
    assert end.connections == 1
    core.close_tunnel()
    until(lambda: process.wait(0))
    until(lambda: end.connections == 0)  # its FIN went out: nobody waits for a silence
    core.number = 2
    assert refusal(opened(end.offer)) == ("carrier-refused", "")
    assert end.taken == 1


def assert_bare(pid: int) -> None:
    """Its own user, and no capability."""
    text = Path(f"/proc/{pid}/status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0
    assert status["Uid"].split() == [str(CARRIER_UID)] * 4


@pytest.mark.parametrize(
    "both", [("helper", "carrier"), ("helper", "wireguard"), ("core", "carrier")]
)
def test_any_two_killed_at_once_leave_nothing(
    topology: Topology,
    helper: TunnelHelper,
    core: Core,
    carriers: Carriers,
    end: CarrierEnd,
    opened: Opened,
    root: Path,
    both: tuple[str, str],
) -> None:
    assert isinstance(opened(end.offer), ipc.TunnelUp)
    wireguard = child_pid(helper.process)
    kill = {
        "helper": lambda: helper.process.kill(signal.SIGKILL),
        "carrier": lambda: carriers.processes[0].kill(signal.SIGKILL),
        "wireguard": lambda: os.kill(wireguard, signal.SIGKILL),
        "core": core.channel.close,
    }
    for name in both:
        kill[name]()
    until(lambda: topology.session.links() == {"lo"})
    until(lambda: has_ended(wireguard) and carriers.processes[0].wait(0))
    if "helper" in both:
        helper.restart()
    core.channel.close()
    again = Core(root, number=2)
    again.channel.sock.settimeout(30)
    assert again.ask(ipc.TunnelStatus()) == ipc.TunnelState(up=False)
    assert not carrier_granted(topology)
    again.channel.close()


def child_pid(process: Process) -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def test_an_end_that_floods_is_left_as_soon_as_the_helper_lets_go() -> None:
    """What it sends is thrown at WireGuard, who knows none of it; nothing piles up meanwhile."""
    near, far = ends.pair_of_ends()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wireguard, far, ours, theirs:
        wireguard.bind(("127.0.0.1", 0))
        relay = Relay(near, loopback())
        relay.udp.connect(wireguard.getsockname())
        carrying = threading.Thread(target=carrier._carry, args=(relay, ours), daemon=True)
        flooding = threading.Thread(target=flood, args=(far,), daemon=True)
        carrying.start()
        flooding.start()
        until(lambda: relay.received_bytes > 1_000_000)
        theirs.close()
        carrying.join(30)
        assert not carrying.is_alive()
        relay.close()
        flooding.join(30)


def flood(far: ssl.SSLSocket) -> None:
    far.settimeout(30)
    with contextlib.suppress(OSError):
        while True:
            far.sendall((1000).to_bytes(2, "big") + bytes(1000))


def test_a_helper_that_says_nothing_is_not_waited_for_and_nonsense_ends_it(
    topology: Topology, root: Path, carriers: Carriers
) -> None:
    def asked(said: bytes | None) -> Process:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(str(carriers.path))
        process = carriers.start()
        if said is not None:
            sock.send(said)
        until(lambda: process.wait(0))
        sock.close()
        return process

    start_s = time.monotonic()
    for said in (b"{", b'{"t":"carry"}', None):
        assert asked(said).status == 0
    assert time.monotonic() - start_s >= 5  # the last one waited its time
