"""A box that stands somewhere else, in the whole rig: told by itself, held by a project, let in.

What the kernel says of the gateway is written by hand here: the rig's box has none. That the kernel
writes so, tests/identity/test_surroundings.py shows.
"""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from hil.scenarios import session
from sdbox_agent.state import record
from tests.hil.fault_bench import Bench, opened
from tests.identity.test_surroundings import HEAD, NEIGHBOURS, neighbour, route
from tests.waiting import until

pytestmark = pytest.mark.rig
HOME, ELSEWHERE = "02:00:00:00:00:fe", "02:00:00:00:00:01"
DAY_S = 86400


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=3) as one:
        yield one


def stand(bench: Bench, mac: str) -> None:
    """Behind this gateway."""
    tables = bench.rig.box.paths.root / "proc/self/net"
    tables.mkdir(parents=True, exist_ok=True)
    (tables / "route").write_text(HEAD + route())
    (tables / "arp").write_text(NEIGHBOURS + neighbour(mac=mac))


def of_box(bench: Bench, column: str) -> int | None:
    """What the centre has of the box's place."""
    with contextlib.closing(sqlite3.connect(bench.rig.centre.root / "db/centre.sqlite")) as db:
        return (db.execute(f"SELECT {column} FROM places").fetchone() or (None,))[0]


def remembered(bench: Bench) -> set[str]:
    """By name, what the box's own record knows of where and what it is."""
    known = record.decode((bench.rig.box.paths.state / "state.json").read_bytes()).known
    return set(known.facts) if known else set()


def test_a_box_that_was_moved_says_so_and_waits_for_a_derogation(bench: Bench) -> None:
    stand(bench, HOME)
    bench.good()
    until(lambda: {"gateway", "address"} <= remembered(bench))
    with bench.rig.centre.acting() as staff:
        staff.hold_when_moved("p-alpha")
    bench.good()
    assert of_box(bench, "network") is not None
    assert [entry.code for entry in bench.entries()].count("box-moved") == 0

    stand(bench, ELSEWHERE)
    bench.rig.operator.insert(bench.holder().card)
    until(lambda: of_box(bench, "said_moved_s"))
    bench.tidy()
    assert bench.watch.views[-1].standing == ("identity-copyable", "box-moved")
    assert [entry.code for entry in bench.entries()].count("box-moved") == 1
    assert of_box(bench, "moved_s") is None, "the centre sees it where it always was"
    refused = session.to_person(bench.rig, bench.watch, bench.holder())
    assert refused.code == "box-held"
    bench.tidy()

    with bench.rig.centre.acting() as staff:
        staff.derogate(bench.rig.box.name, staff.office.utc_s() + DAY_S)
    bench.good()
    holder = bench.holder()
    bench.to_open(holder)
    with bench.rig.centre.acting() as staff:
        staff.derogate(bench.rig.box.name, staff.office.utc_s())
    bench.ended("box-held")
    bench.tidy()

    with bench.rig.centre.acting() as staff:
        staff.place_box(bench.rig.box.name)  # it stands there, from today
    bench.good()
