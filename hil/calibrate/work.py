"""The work of a calibration, spread over processes: virtual people first, then real sets.

A process that dies (libfprint is C) ends the run with an error; what was done is kept. The
processes die with the one that started them, however it ends.
"""

import functools
import os
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from hil.calibrate import decisions, kept, people, real
from hil.calibrate.decisions import Plan
from hil.calibrate.report import Measured
from hil.net import linux

TELL_S = 30.0

Task = TypeVar("Task")
Result = TypeVar("Result")


def begin(parent: int) -> None:
    """First in each process: die with `parent`."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def virtual(pool: Executor, plan: Plan, folder: Path) -> Measured:
    """Fingers first, then their decisions."""
    grow = functools.partial(_grown, captures=plan.captures, folder=folder)
    _spread(pool, "fingers grown and extracted", grow, range(2 * plan.people))
    make = functools.partial(_tile, plan=plan, folder=folder)
    tiles = _spread(pool, "tiles of virtual decisions", make, plan.tiles())
    return Measured("virtual", *decisions.joined(tiles))


def real_sets(pool: Executor, folder: Path, keep: Path) -> list[Measured]:
    """All sets as one, then each."""
    names = real.sets(folder)
    if not names:
        return []
    found = _spread(pool, "sets of real fingers", functools.partial(real.decided, keep=keep), names)
    each = [
        Measured(f"real: {name.name}", *real.joined([one]))
        for name, one in zip(names, found, strict=True)
    ]
    return [Measured("real: all sets", *real.joined(found)), *each]


def _grown(number: int, captures: int, folder: Path) -> None:
    people.finger(number, captures, folder=folder)


def _tile(blocks: tuple[int, int], plan: Plan, folder: Path) -> kept.Arrays:
    return decisions.tile(plan, *blocks, folder=folder)


def _spread(
    pool: Executor, what: str, do: Callable[[Task], Result], tasks: Iterable[Task]
) -> list[Result]:
    """The results in the tasks' order; tells how far it is."""
    todo = list(tasks)
    started = told = time.monotonic()
    results = []
    for result in pool.map(do, todo):
        results.append(result)
        now = time.monotonic()
        if now - told > TELL_S or len(results) == len(todo):
            told = now
            print(f"{len(results)} of {len(todo)} {what}, {now - started:.0f} s", flush=True)
    return results
