"""Fault 83 on the whole rig: the walls are touched, or whoever keeps them dies."""

import os
import signal
from collections.abc import Iterator

import pytest

from hil.net.observe import Frame, Observer
from hil.net.topology import CENTRE4, CENTRE_SIDE
from sdbox_agent.tunnel import lifeline
from tests.hil.fault_bench import Bench, opened
from tests.waiting import until

pytestmark = pytest.mark.rig
FOUND_OUT_S = 1.0  # what is promised; it takes some 40 ms


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=4) as one:
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.rig.oracle.walled()  # between a flush and their return the kernel looks for routers
    bench.tidy()


def rules(bench: Bench) -> list[str]:
    """Every rule of the walls; what the helper hangs by stands from its first tunnel on."""
    nft = bench.rig.topology.box.nft
    tables = [one for one in nft("list tables").splitlines() if not one.endswith(lifeline.TABLE)]
    return sorted(nft(f"list {table}") for table in tables)


def may_leave(frame: Frame) -> bool:
    where = (frame.destination, frame.protocol)
    return frame.neighbour_discovery or where in {(CENTRE4, 6), (CENTRE4, 17)}


def test_every_rule_flushed_in_a_session(bench: Bench) -> None:
    before = rules(bench)
    bench.to_open(bench.holder())
    with Observer(bench.rig.topology.centre, CENTRE_SIDE) as observer:
        bench.rig.topology.box.nft("flush ruleset")
        bench.ended("walls-missing", within_s=FOUND_OUT_S)
        until(lambda: rules(bench) == before)
    assert observer.arrived(lambda frame: not may_leave(frame)) == []
    bench.rig.operator.remove()
    bench.good()


def test_the_keeper_killed_in_a_session(bench: Bench) -> None:
    """Its successor raises the walls anew, which no session outlives; they stand all the while."""
    before = rules(bench)
    bench.to_open(bench.holder())
    os.kill(bench.rig.box.pid("sdbox-walls"), signal.SIGKILL)
    assert rules(bench).count("policy drop") == before.count("policy drop")
    bench.ended("walls-missing", within_s=10)  # as its successor has started
    until(lambda: rules(bench) == before)
    bench.rig.operator.remove()
    bench.good()


def test_keeper_and_helper_killed_and_every_rule_flushed_at_once(bench: Bench) -> None:
    before = rules(bench)
    bench.to_open(bench.holder())
    for unit in ("sdbox-walls", "sdbox-tunnel"):
        os.kill(bench.rig.box.pid(unit), signal.SIGKILL)
    bench.rig.topology.box.nft("flush ruleset")
    bench.ended("tunnel-worker-died")
    until(lambda: rules(bench) == before)
    bench.rig.operator.remove()
    bench.good()
