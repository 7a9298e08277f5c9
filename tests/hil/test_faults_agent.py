"""The core, the tunnel helper or the whole box dies with a tunnel up; the record is full."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from hil.net import flood
from hil.net.observe import Observer, now_ns
from hil.net.topology import CENTRE_SIDE
from hil.scenarios import session
from sdbox_agent import errors
from sdbox_agent.audit import hashchain, outbox, record
from tests.hil.fault_bench import SHOWN_S, Bench, alive, children, opened, stopped
from tests.waiting import until

pytestmark = pytest.mark.rig

WATCHDOG_S = 3.0


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(
        one=7, watchdog_s=dict.fromkeys(("sdbox-agent", "sdbox-tunnel"), WATCHDOG_S)
    ) as one:
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


@contextlib.contextmanager
def flooding(bench: Bench) -> Iterator[None]:
    """Somebody in the session sends without pause, and does not care who takes it."""
    command = [sys.executable, flood.__file__, "10.77.1.1", "9", "2000", "30"]
    inside = ["nsenter", f"--net={bench.rig.topology.session.path}"]
    child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *inside, *command])
    try:
        yield
    finally:
        child.kill()
        child.wait()


def back(bench: Bench, starts: int) -> None:
    """The core has been started again, has found nothing up, and a session works."""
    until(lambda: bench.rig.box.units()["sdbox-agent"].starts > starts)
    bench.rig.operator.remove()
    bench.rig.box.wait_ready()
    bench.watch.close()
    bench.watch = bench.rig.watch()
    bench.watch.until(lambda view: view.state in {"idle", "spent"}, "readiness")
    outbox.verify_file(bench.audit)
    bench.good()


def test_the_core_killed_with_the_tunnel_up(bench: Bench) -> None:
    bench.to_open(bench.holder())
    core, wireguard = bench.rig.box.pid("sdbox-agent"), bench.wireguard_go()
    starts = bench.rig.box.units()["sdbox-agent"].starts
    with Observer(bench.rig.topology.centre, CENTRE_SIDE) as cable, flooding(bench):
        until(lambda: len(cable.arrived(lambda one: one.port == 51820)) > 100)
        os.kill(core, signal.SIGKILL)
        killed_ns = now_ns()
        until(lambda: session.residue(bench.rig) == [])
        until(lambda: not alive(wireguard))
        gone_ns = now_ns()
        time.sleep(1)
        late = cable.arrived(lambda one: one.port == 51820 and one.time_ns > gone_ns)
        assert late == [], "a packet after the tunnel's end"
    last_ns = max(one.time_ns for one in cable.arrived(lambda one: one.port == 51820))
    assert last_ns - killed_ns < SHOWN_S * 1e9, "it does not wait for its lease's end"
    back(bench, starts)


def test_a_core_that_hangs_is_killed_by_its_watchdog(bench: Bench) -> None:
    bench.to_open(bench.holder())
    seen = bench.rig.box.units()["sdbox-agent"]
    with stopped(seen.pids[-1]):
        assert session.residue(bench.rig) != []
        until(lambda: not alive(seen.pids[-1]))
        until(lambda: session.residue(bench.rig) == [])
    back(bench, seen.starts)


def test_a_tunnel_helper_that_hangs_is_killed_by_its_watchdog_and_no_other(bench: Bench) -> None:
    bench.to_open(bench.holder())
    time.sleep(WATCHDOG_S + 1)
    seen = bench.rig.box.units()["sdbox-tunnel"]
    with stopped(seen.pids[-1]):
        assert session.residue(bench.rig) != [], "it had not been killed before it hung"
        until(lambda: not alive(seen.pids[-1]))
    bench.ended("tunnel-worker-died")
    until(lambda: bench.rig.box.units()["sdbox-tunnel"].starts > seen.starts)
    bench.tidy()
    bench.good()


def test_the_launcher_killed_leaves_nothing_and_the_box_starts_again(bench: Bench) -> None:
    bench.to_open(bench.holder())
    units = bench.rig.box.units()
    pids = [pid for unit in units.values() for pid in unit.pids]
    pids += [child for pid in pids for child in children(pid)]
    assert len(pids) >= 5, "core, card worker, finger process, helper, wireguard-go"
    bench.rig.box.kill_launcher()
    until(lambda: not any(map(alive, pids)))
    until(lambda: session.residue(bench.rig) == [])
    bench.rig.operator.remove()
    bench.rig.box.start()
    bench.look()
    bench.good()


def test_a_record_that_is_full_opens_nothing(bench: Bench) -> None:
    bench.rig.box.stop()
    before = bench.audit.stat().st_size
    fill(bench, int(outbox.FULL * outbox.BUDGET_BYTES))
    bench.rig.box.start()
    bench.look()
    try:
        bench.rig.operator.insert(bench.holder().card)
        closing = bench.watch.state("closing", "scanning")
        assert (closing.state, closing.code) == ("closing", "audit-full")
        assert bench.watch.state("spent", "broken").state == "spent"
        assert session.residue(bench.rig) == []
        last = record.decode(bench.audit.read_bytes().splitlines()[-1])
        assert (last.code, last.result) == ("audit-full", errors.table()["audit-full"].result)
        assert outbox.verify_file(bench.audit) == last.seq
    finally:
        bench.rig.operator.remove()
        bench.rig.box.stop()
        os.truncate(bench.audit, before)
        bench.rig.box.start()
        bench.look()
    bench.good()


def fill(bench: Bench, size: int) -> None:
    """Valid lines, chained, up to that size: what years of use leave."""
    lines = bench.audit.read_bytes().splitlines()
    entry = record.decode(lines[-1])
    seq, prev, written = entry.seq, hashchain.digest(lines[-1]), bench.audit.stat().st_size
    with bench.audit.open("ab") as file:
        while written < size:
            seq += 1
            line = record.encode(
                record.Entry(
                    seq=seq, prev=prev, boot_id=entry.boot_id, mono_ms=entry.mono_ms, utc=None,
                    code="card-inserted", session=f"{'x' * 90}", level=None, result="ok",
                )
            )  # fmt: skip
            prev, written = hashchain.digest(line), written + len(line) + 1
            file.write(line + b"\n")
