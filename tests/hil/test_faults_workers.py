"""A worker of the box killed or hanging, in each of a few states."""

import os
import signal
from collections.abc import Iterator

import pytest

from hil.scenarios import session
from sdbox_agent.audit import record
from sdbox_agent.daemon.view import View
from tests.hil.fault_bench import SHOWN_S, Bench, alive, now_ms, opened, stopped
from tests.waiting import until

pytestmark = pytest.mark.rig

CARD, FINGER, TUNNEL = "sdbox-card", "sdbox-finger@", "sdbox-tunnel"
DIED = {CARD: "card-worker-died", FINGER: "finger-worker-died", TUNNEL: "tunnel-worker-died"}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=14, watchdog_s={"sdbox-tunnel": 600}) as one:  # its hanging is looked at
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


def of_sessions(bench: Bench) -> list[record.Entry]:
    """A core that has just started may still be telling of its start."""
    return [entry for entry in bench.entries() if entry.session is not None]


def killed(bench: Bench, unit: str) -> None:
    """Kill -9; it is gone, and another one has been started."""
    before = bench.rig.box.units()[unit]
    os.kill(before.pids[-1], signal.SIGKILL)
    until(lambda: not alive(before.pids[-1]))
    until(lambda: bench.rig.box.units()[unit].starts > before.starts)


def must_come_out(bench: Bench, spent: View) -> None:
    """A card that its worker died under is not put in anew when the next worker finds it."""
    until(lambda: bool(bench.rig.box.units()[CARD].pids))
    with pytest.raises(TimeoutError):
        bench.watch.until(lambda view: view.state != "spent", "anything", within_s=1)
    bench.rig.operator.remove()
    assert bench.watch.state("idle").n == spent.n


@pytest.mark.parametrize("unit", DIED)
def test_a_worker_killed_while_the_box_is_idle_is_replaced(bench: Bench, unit: str) -> None:
    told = of_sessions(bench)
    killed(bench, unit)
    assert of_sessions(bench) == told, "no session, nothing to tell"
    bench.good()


@pytest.mark.parametrize("unit", DIED)
def test_a_worker_killed_while_the_finger_is_awaited_ends_the_session(
    bench: Bench, unit: str
) -> None:
    bench.to_scanning(bench.holder())
    at_ms = now_ms()
    killed(bench, unit)
    spent = bench.ended(DIED[unit], from_ms=at_ms)
    if unit == CARD:
        must_come_out(bench, spent)


@pytest.mark.parametrize("unit", [CARD, TUNNEL])
def test_a_worker_killed_in_an_open_session_ends_it(bench: Bench, unit: str) -> None:
    bench.to_open(bench.holder())
    wireguard = bench.wireguard_go()
    at_ms = now_ms()
    killed(bench, unit)
    spent = bench.ended(DIED[unit], from_ms=at_ms)
    if unit == CARD:
        must_come_out(bench, spent)
    until(lambda: not alive(wireguard))


def test_a_spare_finger_process_killed_in_an_open_session_is_replaced(bench: Bench) -> None:
    """The one that compared is dead by then; the next one is nothing the session stands on."""
    bench.to_open(bench.holder())
    killed(bench, FINGER)
    assert bench.wireguard_go()
    bench.rig.operator.remove()
    bench.ended("card-removed")
    bench.good()


@pytest.mark.parametrize("mended_by", ["going on", "its death"])
def test_a_helper_that_hangs_as_it_should_close_is_shown_and_nothing_opens(
    bench: Bench, mended_by: str
) -> None:
    bench.to_open(bench.holder())
    assert bench.machine_answers()
    helper = bench.rig.box.pid(TUNNEL)
    with stopped(helper):
        bench.rig.operator.remove()
        closing = bench.watch.state("closing")
        broken = bench.watch.state("broken", "spent")
        assert (broken.state, broken.code) == ("broken", "tunnel-not-down")
        took_s = (broken.mono_ms - closing.mono_ms) / 1000
        assert took_s <= 2 + SHOWN_S, "closing has 2 s"
        codes = [entry.code for entry in bench.entries(broken.n)]
        assert codes[-2:] == ["card-removed", "tunnel-not-down"]
        # What hangs still has its interface: the gateway has been told, and answers no more.
        assert session.residue(bench.rig) != []
        until(lambda: not bench.machine_answers())
        bench.rig.operator.insert(bench.holder().card)
        with pytest.raises(TimeoutError):
            bench.watch.until(lambda view: view.state != "broken", "anything", within_s=1)
        if mended_by == "its death":
            os.kill(helper, signal.SIGKILL)
            mended = bench.watch.state("spent")
    if mended_by == "going on":
        mended = bench.watch.state("spent")
    assert mended.code == "card-removed", "it is down now: why it ended is what is left to say"
    assert session.residue(bench.rig) == []
    assert bench.entries(broken.n)[-1].code == "tunnel-confirmed-down"
    bench.rig.operator.remove()
    bench.good()


def test_pcscd_killed_in_an_open_session_and_back(bench: Bench) -> None:
    bench.to_open(bench.holder())
    at_ms = now_ms()
    bench.rig.pcscd.kill()
    bench.ended("card-removed", from_ms=at_ms)
    bench.rig.operator.remove()
    bench.rig.pcscd.start()
    bench.good()
