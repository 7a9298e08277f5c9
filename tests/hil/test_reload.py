"""A gateway that is reloaded under whole boxes' sessions."""

from collections.abc import Iterator

import pytest

from hil.reload import reload_gateway
from tests.hil.fault_bench import Bench, opened
from tests.waiting import until

pytestmark = pytest.mark.rig

LEASE_S = 20  # renewed at half of it


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=2, lease_s=LEASE_S) as one:
        yield one


def renewals(bench: Bench, session: int) -> int:
    return [entry.code for entry in bench.entries(session)].count("lease-renewed")


def test_a_session_outlives_a_reload_and_renews_its_lease_after_it(bench: Bench) -> None:
    seen = bench.to_open(bench.holder())
    for _ in range(2):
        reload_gateway(bench.rig.centre)
        assert bench.machine_answers()
    until(lambda: renewals(bench, seen.n) >= 2)
    assert bench.machine_answers()
    bench.rig.operator.remove()
    bench.ended("card-removed")
    bench.tidy()
    bench.good()  # and the next one is let in
