"""The card pulled at each step of a session, by APDU and by state."""

import contextlib
import itertools
import os
from collections.abc import Iterator

import pytest

from hil.card.faults import SlowBy, TearAt, TearPoint
from hil.issuing import Holder
from hil.scenarios import session
from tests.hil.fault_bench import Bench, now_ms, opened, stopped

pytestmark = pytest.mark.rig

LEASE_S = 6  # renewed after three
WHOLE = bool(os.environ.get("FULL"))  # every moment of every APDU, not one each


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=9, both=11, lease_s=LEASE_S) as one:
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


@pytest.fixture(scope="module")
def apdus(bench: Bench) -> int:
    """How many commands a card gets until the tunnel is up."""
    bench.to_open(bench.holder())
    insertion = bench.rig.operator.remove()
    assert insertion is not None
    bench.ended("card-removed")
    return insertion.apdus


def torn(bench: Bench, fault: TearAt) -> None:
    """A session in which the card goes at that command, wherever that is."""
    holder = bench.holder()
    insertion = bench.rig.operator.insert(holder.card, [fault])
    seen = bench.watch.state("scanning", "closing")
    if seen.state == "scanning":
        bench.rig.operator.place(holder.person)
        seen = bench.watch.state("closing")
    assert insertion.apdus == fault.n, "the tear did not happen where it should"
    insertion.wait_ended()  # the box may know before the card's own thread has noted it
    assert insertion.removed_at_ns is not None
    assert seen.code == "card-removed", seen
    spent = bench.watch.state("spent", "broken")
    assert (spent.state, spent.code) == ("spent", "card-removed")
    assert spent.mono_ms - insertion.removed_at_ns / 1e6 < 5000
    assert session.residue(bench.rig) == []
    told = [entry.code for entry in bench.entries(spent.n)]
    assert told[0] == "card-inserted", told
    assert told.count("card-removed") == 1, told
    if fault.n < 16:
        assert "receipt-signed" not in told, told


def test_a_card_torn_at_any_command_ends_the_session(bench: Bench, apdus: int) -> None:
    points = list(TearPoint)
    assert apdus >= 12
    for n in range(1, apdus + 1):
        for point in points if WHOLE else [points[n % len(points)]]:
            try:
                torn(bench, TearAt(n, point))
            except AssertionError as error:
                raise AssertionError(f"torn at APDU {n} of {apdus}, {point.value}") from error


def test_a_card_torn_as_it_renews_its_lease_ends_the_session(bench: Bench, apdus: int) -> None:
    torn(bench, TearAt(apdus + 1, TearPoint.REPLY))
    assert "tunnel-up" in [entry.code for entry in bench.entries()[-6:]]


@contextlib.contextmanager
def held(bench: Bench, state: str, last: int) -> Iterator[None]:
    """A session that stays in `state`, because whoever should answer hangs."""
    rig, watch, holder = bench.rig, bench.watch, bench.holder("both")
    with contextlib.ExitStack() as stack:
        if state == "opening":
            stack.enter_context(stopped(rig.box.pid("sdbox-finger@")))
        if state == "checking":
            stack.enter_context(stopped(rig.centre.api.pid))
        slow = [SlowBy(4000, last)] if state == "signing" else []
        rig.operator.insert(holder.card, slow)
        if state == "proving":
            watch.state("proving")
            stack.enter_context(stopped(rig.centre.api.pid))
        elif state not in {"checking", "opening"}:
            watch.state("scanning")
            _after_scanning(bench, holder, state, stack)
        if state not in {"proving", "scanning", "choosing", "open"}:
            watch.state(state)
        yield


def _after_scanning(bench: Bench, holder: Holder, state: str, stack: contextlib.ExitStack) -> None:
    rig, watch = bench.rig, bench.watch
    if state == "scanning":
        return
    finger = rig.box.pid("sdbox-finger@")
    if state == "reserving":
        stack.enter_context(stopped(rig.centre.api.pid))
    rig.operator.place(holder.person)
    if state == "comparing":
        watch.state("reserving")
        stack.enter_context(stopped(finger))
    if state in {"reserving", "comparing"}:
        return
    watch.state("choosing")
    if state == "tunnelling":
        stack.enter_context(stopped(rig.centre.api.pid))
    if state != "choosing":
        rig.operator.choose("p-beta")
    if state == "open":
        watch.state("open")


@pytest.mark.parametrize(
    "state",
    [
        "checking",
        "proving",
        "opening",
        "scanning",
        "reserving",
        "comparing",
        "choosing",
        "signing",
        "tunnelling",
        "open",
    ],
)
def test_a_card_pulled_in_any_state_ends_the_session(bench: Bench, apdus: int, state: str) -> None:
    with held(bench, state, apdus):
        pulled_ms = now_ms()
        bench.rig.operator.remove()
        spent = bench.ended("card-removed", from_ms=pulled_ms)
    views = [view.state for view in bench.watch.views if view.n == spent.n]
    states = [state for state, _ in itertools.groupby(views)]  # closing may be told twice
    assert states[-3:] == [state, "closing", "spent"]


def test_the_box_has_taken_no_harm(bench: Bench) -> None:
    bench.good()
