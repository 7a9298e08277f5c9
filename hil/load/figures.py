"""The figures of a load test, and what they should be. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from hil.bench_figures import timing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.load.step import Measured

WALL_S: Final = 60.0
CALL_P99_MS: Final = 500.0
REVOCATION_P99_MS: Final = 2000.0
RENEWAL_CPU_PERCENT: Final = 50.0
OUTLIVED_S: Final = 1.0

Step = dict[str, Any]


def figures(measured: Measured) -> Step:
    """One step's row of build/load.json."""
    opened = measured.opened
    begun_s = min(call.sent_s for call in measured.calls)
    ended_s = max(call.sent_s + call.took_ms / 1000 for call in measured.calls)
    wall_s = ended_s - begun_s
    row: Step = {
        "wall_s": round(wall_s, 2),
        "sessions_per_s": round(len(opened) / wall_s, 2),
        "call_ms": timing(call.took_ms for call in measured.calls),
        "failed": measured.boxes - len(opened),
        "refused": dict(Counter(call.code for call in measured.calls if call.code != "done")),
        "session_cpu_ms": _each_ms(measured.morning_cpu_s, max(len(opened), 1)),
    }
    if measured.renewals:
        row["renew_ms"] = timing(call.took_ms for call in measured.renewals)
        row["renewal_cpu_percent"] = {
            name: round(100 * spent_s / measured.renewed_s, 1)
            for name, spent_s in measured.renewal_cpu_s.items()
        }
    if measured.revocation_ms:
        row["revocation_ms"] = timing(measured.revocation_ms)
    if measured.outlived_s is not None:
        row["restarts"] = {name: dataclasses.asdict(one) for name, one in measured.restarts.items()}
        row["outlived_s"] = round(measured.outlived_s, 2)
    return row


def _each_ms(spent_s: Mapping[str, float], sessions: int) -> dict[str, float]:
    return {name: round(1000 * each_s / sessions, 2) for name, each_s in spent_s.items()}


def missed(steps: Mapping[str, Step]) -> list[str]:
    """The aims that are missed, in words."""
    found = []
    for boxes, row in steps.items():
        aims = {
            f"failed {row['failed']}": row["failed"] == 0,
            f"wall_s {row['wall_s']}, aim {WALL_S:g}": row["wall_s"] <= WALL_S,
            f"call p99 {row['call_ms']['p99']} ms, aim {CALL_P99_MS:g}": row["call_ms"]["p99"]
            <= CALL_P99_MS,
        }
        if "revocation_ms" in row:
            p99 = row["revocation_ms"]["p99"]
            aims[f"revocation p99 {p99} ms, aim {REVOCATION_P99_MS:g}"] = p99 <= REVOCATION_P99_MS
        if "restarts" in row:
            aims |= {
                f"{name} restarted: {one['before']} peers, then {one['after']}": one["before"]
                == one["after"]
                for name, one in row["restarts"].items()
            }
            words = f"a peer was in {row['outlived_s']} s beyond its lease"
            aims[words] = row["outlived_s"] <= OUTLIVED_S
        if "renewal_cpu_percent" in row:
            percent = row["renewal_cpu_percent"]["api"]
            name = f"renewals take {percent} % of a core, aim {RENEWAL_CPU_PERCENT:g}"
            aims[name] = percent <= RENEWAL_CPU_PERCENT
        found += [f"{boxes} boxes: {words}" for words, kept in aims.items() if not kept]
    return found
