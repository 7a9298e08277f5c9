"""A whole session where the host lets no UDP through: the same, over TLS on port 443."""

import os
import signal
from collections.abc import Iterator

import pytest

from hil.net.carrier import Served, TlsOpening, udp_dropped
from hil.net.observe import Observer
from hil.net.topology import CARRIER4, CENTRE4, CENTRE_SIDE
from sdbox_agent import errors
from tests import waiting
from tests.hil.fault_bench import Bench, alive, opened
from tests.tunnel import ends

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=4, carries=True) as one, udp_dropped(one.rig.topology):
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


def records(bench: Bench, n: int) -> list[str]:
    return [entry.code for entry in bench.entries(n)]


def test_a_session_opens_over_tls_is_shown_and_recorded_so_and_only_443_is_used(
    bench: Bench,
) -> None:
    with Observer(bench.rig.topology.centre, CENTRE_SIDE) as observer:
        seen = bench.to_open(bench.holder())
        assert seen.carrier == "tls"
        assert bench.machine_answers()
        bench.rig.operator.remove()
        bench.ended("card-removed")
    assert "tunnel-up-carried" in records(bench, seen.n)
    frames = observer.arrived(lambda frame: not frame.neighbour_discovery)
    since_ns = min(frame.time_ns for frame in frames if frame.destination == CARRIER4)
    used = {(f.protocol, f.destination, f.port) for f in frames if f.time_ns >= since_ns}
    assert used == {(6, CARRIER4, 443), (6, CENTRE4, 443)}
    pids = bench.rig.box.units()["sdbox-carrier@"].pids
    waiting.until(lambda: not any(map(alive, pids)))


def test_the_carrier_killed_ends_the_session(bench: Bench) -> None:
    bench.to_open(bench.holder())
    os.kill(bench.rig.box.pid("sdbox-carrier@"), signal.SIGKILL)
    bench.ended("carrier-lost")


def test_the_gateway_killed_ends_the_session(bench: Bench) -> None:
    """With it WireGuard's port there goes: the other end lets go of the connection at once."""
    bench.to_open(bench.holder())
    bench.rig.centre.gateway.end()
    bench.ended("carrier-lost")
    bench.rig.operator.remove()
    bench.rig.centre.start_gateway()


def test_who_opens_tls_is_shown_with_the_issuer(bench: Bench) -> None:
    rig = bench.rig
    assert rig.centre.carrier is not None
    rig.centre.carrier.end()
    with ends.files(rig.issuing.server("proxy.test")) as files:
        opening = TlsOpening(files)
    with Served(rig.topology.centre, (CARRIER4, 443), opening) as middle:
        bench.to_scanning(holder := bench.holder())
        rig.operator.place(holder.person)
        spent = bench.ended("tls-inspected", within_s=20)
    assert spent.issuer
    assert "CN=" in spent.issuer
    assert middle.heard == [b""]
    assert errors.explain("tls-inspected").call == "operator"
    rig.operator.remove()
    rig.centre.start_carrier()
