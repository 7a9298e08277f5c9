"""[door] What running processes cost: memory and processor time, as the kernel counts them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hil.box import Box

# systemd unit -> our short name
UNITS: Final = {
    "sdbox-agent": "core",
    "sdbox-card": "card",
    "sdbox-finger@": "finger",
    "sdbox-tunnel": "tunnel",
}
_QUIET_S: Final = 0.15  # nothing of ours ran for so long: the box has come to rest
_LOOK_S: Final = 0.05
_CPUCLOCK_SCHED: Final = 2  # <linux/posix-timers.h>


class Moved(RuntimeError):  # noqa: N818  a state, told as an exception
    """A process ended or was started while it was being measured."""


def pids(box: Box) -> dict[str, tuple[int, ...]]:
    """Our four kinds of process, and what runs of each."""
    units = box.units()
    return {name: tuple(units[unit].pids) for unit, name in UNITS.items()}


def pss_mb(pid: int) -> float:
    """Proportional set size (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def children(pid: int) -> list[int]:
    """Its child processes."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def cpu_ns(pid: int) -> int:
    """Time on a processor so far, every thread's, those that have ended included.

    The counter behind schedstat, which alone would give single threads and no ended ones.
    Raises OSError when there is no such process.
    """
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)  # clock_getcpuclockid(3)


def settle(box: Box, within_s: float = 10.0) -> None:
    """Wait until nothing of ours runs: the next finger process is warm. Raises TimeoutError."""
    deadline_s = time.monotonic() + within_s
    seen: tuple[object, ...] = ()
    since_s = time.monotonic()
    while time.monotonic() < deadline_s:
        running = pids(box)
        try:
            now = (running, *(cpu_ns(pid) for each in running.values() for pid in each))
        except OSError:
            now = ()
        if now != seen or not all(running.values()):
            seen, since_s = now, time.monotonic()
        elif time.monotonic() - since_s >= _QUIET_S:
            return
        time.sleep(_LOOK_S)
    raise TimeoutError("the box does not come to rest")


def idle_percent(groups: Mapping[str, Iterable[int]], seconds: float) -> dict[str, float]:
    """Share of one processor that each group used over that time, in percent.

    Raises Moved if one of them ended.
    """
    kept = {name: tuple(each) for name, each in groups.items()}
    before_ns = _spent_ns(kept)
    start_ns = time.monotonic_ns()
    time.sleep(seconds)
    after_ns = _spent_ns(kept)
    took_ns = time.monotonic_ns() - start_ns
    return {name: 100 * (after_ns[name] - before_ns[name]) / took_ns for name in kept}


def _spent_ns(groups: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    try:
        spent_ns = {name: sum(map(cpu_ns, each)) for name, each in groups.items()}
        dead = [pid for each in groups.values() for pid in each if _is_dead(pid)]
    except OSError:
        raise Moved("a process ended while it was being measured") from None
    if dead:
        raise Moved("a process ended while it was being measured")
    return spent_ns


def _is_dead(pid: int) -> bool:
    """Dead and not yet reaped: its figures can still be read."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in {"Z", "X"}
