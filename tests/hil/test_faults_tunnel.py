"""A tunnel that does not come up, or does not stay up."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.hil.fault_bench import SHOWN_S, Bench, alive, dropping, opened
from tests.waiting import until

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=6) as one:
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


def test_a_handshake_that_never_completes(bench: Bench) -> None:
    holder = bench.holder()
    with dropping(bench.rig.topology.centre, "udp dport 51820"):
        bench.to_scanning(holder)
        bench.rig.operator.place(holder.person)
        bench.watch.state("tunnelling")
        spent = bench.ended("udp-blocked", within_s=5 + SHOWN_S)
    assert "tunnel-up" not in [entry.code for entry in bench.entries(spent.n)]


def test_a_machine_that_does_not_answer_behind_a_good_handshake(bench: Bench) -> None:
    holder = bench.holder()
    with dropping(bench.rig.topology.vm[0], "meta l4proto icmp"):
        bench.to_scanning(holder)
        bench.rig.operator.place(holder.person)
        bench.watch.state("tunnelling")
        spent = bench.ended("vm-silent", within_s=3 + SHOWN_S)
    assert "tunnel-up" not in [entry.code for entry in bench.entries(spent.n)]


def test_a_tunnel_that_falls_silent(bench: Bench) -> None:
    bench.to_open(bench.holder())
    with dropping(bench.rig.topology.centre, "udp dport 51820"):
        bench.ended("tunnel-lost", within_s=1 + SHOWN_S)


def test_wireguards_process_killed(bench: Bench) -> None:
    bench.to_open(bench.holder())
    pid = bench.wireguard_go()
    os.kill(pid, signal.SIGKILL)
    bench.ended("tunnel-lost")
    until(lambda: not alive(pid))


def test_the_gateway_killed(bench: Bench) -> None:
    """Its interfaces die with it. The box finds out by itself, and nothing is let in meanwhile."""
    bench.to_open(bench.holder())
    bench.rig.centre.gateway.end()
    bench.ended("tunnel-lost", within_s=1 + SHOWN_S)
    bench.rig.operator.remove()
    bench.rig.centre.start_gateway()
    bench.good()
