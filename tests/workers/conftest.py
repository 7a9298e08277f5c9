"""The tunnel helper's surroundings: cables, walls, a gateway with a VM, and the helper itself."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net.carrier import CARRIER_AT
from hil.net.helper import TunnelHelper
from hil.net.oracle import Oracle, Span
from hil.net.peer import FarPeer
from hil.net.topology import BOX4, BOX6, CENTRE4, CENTRE6, UPLINK, Topology, allowed
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.killswitch import Walls, ruleset
from tests.devices import KERNEL, USERSPACE
from tests.waiting import until
from tests.workers.tunnel_parts import CARRIER6_AT, CORE_UID, PROXY_AT, Core

CENTRE = (parse_endpoint(f"{CENTRE4}:443"), parse_endpoint(f"[{CENTRE6}]:443"))


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    with Topology() as made:
        made.box.nft(ruleset(Walls(CENTRE, (UPLINK,))))
        yield made


@pytest.fixture(scope="module")
def far(topology: Topology) -> Iterator[FarPeer]:
    with FarPeer(topology) as peer:
        yield peer


@pytest.fixture(scope="module")
def spans() -> list[Span]:
    """While a helper ran: at no other time may WireGuard leave."""
    return []


@pytest.fixture(scope="module")
def oracle(topology: Topology, spans: list[Span]) -> Iterator[Oracle]:
    nobody = f"{CENTRE4}:51999"  # granted in a test, and nobody is there
    moved = ("192.0.2.102", "2001:db8:2::102", "192.0.2.77")  # addresses given to it in a test
    own = (BOX4, BOX6, *moved)
    gateways = (FarPeer.endpoint4, FarPeer.endpoint6, nobody)
    granted = allowed(gateways, own, carriers=(CARRIER_AT, CARRIER6_AT), proxies=(PROXY_AT,))
    with Oracle(topology.cable, granted, lambda: spans) as asked:
        yield asked


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sdbox-rig-") as made:  # pytest's are root's alone
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def helper(
    topology: Topology, root: Path, oracle: Oracle, spans: list[Span], device: str
) -> Iterator[TunnelHelper]:
    spans.append(Span(time.monotonic_ns()))
    with TunnelHelper(topology, root, CORE_UID) as running:
        yield running
        if device == KERNEL and topology.session.links() != {"lo"}:
            running.restart()  # what one that dies leaves in the kernel, the next one takes down
            until(lambda: topology.session.links() == {"lo"})
    until(lambda: topology.session.links() == {"lo"})  # whatever the test did
    assert topology.box.links() == {"lo", UPLINK}
    spans[-1] = Span(spans[-1].start_ns, time.monotonic_ns())
    oracle.ask()


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """Who runs WireGuard: `tests.devices.by_either` says so."""
    return str(getattr(request, "param", USERSPACE))


@pytest.fixture
def core(helper: TunnelHelper, root: Path, device: str) -> Iterator[Core]:
    made = Core(root, device=device)
    yield made
    made.channel.close()
