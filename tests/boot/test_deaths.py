"""A booted box whose processes hang or die: systemd ends and starts them, and a session works."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.boot.bench import FIGURES, Bench
from tests.waiting import until

WATCHDOG_S = {"sdbox-agent": 30.0, "sdbox-tunnel": 15.0}  # their units'
AFTER_S = 12.0  # what a busy machine may add until it is seen
RECOVERY_S = 60.0
DIE = ("sdbox-agent", "sdbox-card", "sdbox-tunnel", "sdbox-walls", "sdbox-console", "pcscd")


def again(bench: Bench, unit: str, before: int) -> None:
    """Another process of that unit runs."""
    service = f"{unit}.service"
    until(lambda: bench.machine.pid(service) not in {0, before}, RECOVERY_S)
    until(lambda: bench.active(service), RECOVERY_S)


def has_no_tunnel(bench: Bench) -> bool:
    return bench.rig.residue() == []


@pytest.mark.parametrize("unit", WATCHDOG_S)
def test_who_hangs_is_killed_and_its_tunnel_is_gone(bench: Bench, unit: str) -> None:
    """Stopped in an open session with the card in: it answers nobody, and takes nothing down."""
    watch = bench.watch()
    bench.enter(watch)
    pid = bench.machine.pid(f"{unit}.service")
    os.kill(pid, signal.SIGSTOP)
    stopped_s = time.monotonic()
    until(lambda: not Path(f"/proc/{pid}").exists(), WATCHDOG_S[unit] + AFTER_S)
    until(lambda: has_no_tunnel(bench), AFTER_S)
    took_s = time.monotonic() - stopped_s
    FIGURES.append(f"{unit} stopped in a session: no tunnel after {took_s:.1f} s")
    again(bench, unit, pid)
    (result,) = {
        entry["MESSAGE"]
        for entry in bench.machine.journal(f"UNIT={unit}.service")
        if "Failed with result 'watchdog'" in entry["MESSAGE"]
    }
    assert unit in result
    watch.close()
    bench.rig.operator.remove()
    bench.whole()


@pytest.mark.parametrize("unit", DIE)
def test_who_is_killed_is_started_again_and_a_session_is_played(bench: Bench, unit: str) -> None:
    before = bench.machine.pid(f"{unit}.service")
    os.kill(before, signal.SIGKILL)
    again(bench, unit, before)
    until(bench.rig.takes_cards)
    bench.whole()


def test_a_killed_finger_process_leaves_no_session_and_the_next_works(bench: Bench) -> None:
    pids = until(lambda: fingers(bench))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    bench.whole()


def fingers(bench: Bench) -> list[int]:
    """Finger processes: who has their user."""
    number = bench.machine.run("id", "-u", "sdbox-finger").strip()
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"\nUid:\t{number}\t" in text and bench.machine.holds(status.parent):
            found.append(int(status.parent.name))
    return found
