"""What the centre hands to a box stands in its trace and in the box's record, by the same hash."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from sdbox_centre.store import Store
from sdbox_centre.tables import trace
from tests.hil.fault_bench import Bench, opened

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=2) as one:
        yield one


def handed(bench: Bench) -> list[tuple[str, str]]:
    """As the centre has it."""
    store = Store(bench.rig.centre.root / "db/centre.sqlite")
    with store.begin() as tx:
        wanted = select(trace).where(trace.c.act == "delivered").order_by(trace.c.seq)
        rows = [(f"received-{row.what}", row.sha256.hex()) for row in tx.execute(wanted)]
    store.close()
    return rows


def received(bench: Bench) -> list[tuple[str, str]]:
    """As the box has it."""
    return [
        (entry.code, str(entry.sha256))
        for entry in bench.entries()
        if entry.code.startswith("received-")
    ]


def test_both_ends_hold_the_same_receipts(bench: Bench) -> None:
    bench.good()
    first = received(bench)
    lists, after = first[:-2], first[-2:]
    assert {code for code, _ in lists} == {"received-list"}
    assert len({sha256 for _, sha256 in lists}) == 2, (
        "asked for by session and link: once, or twice"
    )
    assert [code for code, _ in after] == ["received-policy", "received-reference"]
    assert handed(bench) == first
    bench.good()
    both = received(bench)
    assert both[: len(first)] == first
    assert [code for code, _ in both[len(first) :]] == [
        "received-policy",
        "received-reference",
    ], "lists kept"
    assert handed(bench) == both
