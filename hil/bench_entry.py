"""One card put in, until the box asks for a person or ends: what was seen, and whose time it was.

Clocks. A beginning is the time in the audit record of the event, in whole ms, rounded down: at most
1 ms is added to a figure. It is taken before anything else is done about the event; behind a match
the tunnel helper is asked for its keys first, 0.1 ms before. An end is the time in the view of the
new state, which is shown after all that its event asked for was done. So a figure holds everything
the box does between the two, its fsyncs included, where anybody waits for them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.bench_processes import cpu_ns, pids
from hil.bench_shares import Shares, of_card, of_centre, shares
from hil.centre import PORT
from hil.net.observe import Observer, now_ns
from hil.net.topology import CENTRE_SIDE
from hil.scenarios import session
from sdbox_agent.audit import outbox, record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.card.faults import Fault
    from hil.card.insertion import Insertion
    from hil.issuing import Holder
    from hil.operator import Watch
    from hil.rig import Rig
    from sdbox_agent.daemon.view import View


class Spoilt(Exception):  # noqa: N818  a state, told as an exception
    """A session that did not go straight through; it counts for nothing but `spoilt_rounds`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """From card in to `view`, the question to a person."""

    view: View
    card_in_ms: float  # CLOCK_MONOTONIC
    shares: Shares
    stay: Insertion
    # Processor time of all our processes: a busy machine adds little. None: one of them ended.
    cpu_ms: float | None


def put_in(
    rig: Rig, watch: Watch, holder: Holder, asks: str, faults: Iterable[Fault] = ()
) -> Entry:
    """Insert, and wait. Raises Spoilt if it came to something else than `asks` (a state)."""
    ours = [pid for each in pids(rig.box).values() for pid in each]
    before_ns = _spent_ns(ours)
    with Observer(rig.topology.centre, CENTRE_SIDE) as observer:
        stay = rig.operator.insert(holder.card, faults)
        watch.state("checking")
        view = watch.state(*session.ASKING, *session.OVER)
        after_ns = _spent_ns(ours)
    if view.state != asks:
        raise Spoilt(f"{view.state} {view.code}")
    cpu_ms = None if before_ns is None or after_ns is None else (after_ns - before_ns) / 1e6
    card_in_ms = beginnings_ms(rig, view.n)["card-inserted"]
    return Entry(view, card_in_ms, _divided(card_in_ms, view, stay, observer), stay, cpu_ms)


def _spent_ns(ours: Iterable[int]) -> int | None:
    try:
        return sum(map(cpu_ns, ours))
    except OSError:
        return None


def _divided(card_in_ms: float, view: View, stay: Insertion, observer: Observer) -> Shares:
    wall = (round(card_in_ms * 1e6), round(view.mono_ms * 1e6))
    ahead_ns = now_ns() - time.monotonic_ns()
    centre = of_centre(observer.frames, PORT, ahead_ns)
    return shares(wall, of_card(stay.log), centre)


def beginnings_ms(rig: Rig, n: int) -> dict[str, float]:
    """When each event of session `n` was recorded, by its code, on CLOCK_MONOTONIC."""
    # A record counts time that a sleeping machine slept, a view does not.
    slept_ms = (
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    ) / 1e6
    lines = (rig.box.paths.state / outbox.NAME).read_bytes().splitlines()[-32:]
    entries = [record.decode(line) for line in lines]
    return {
        entry.code: entry.mono_ms - slept_ms
        for entry in entries
        if (entry.session or "").endswith(f"-{n}")
    }
