"""What figures look like: summaries, aims, the table. Pure; knows nothing of measuring."""

from __future__ import annotations

import enum
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from typing_extensions import override

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

Figure = float | dict[str, float]
Figures = dict[str, Figure]

_RESAMPLED: Final = 2000
QUANTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@enum.unique
class Group(enum.Enum):
    """Figures that are measured together, and can be without the others."""

    SESSIONS = "sessions"
    CARDS = "cards"
    IDLE = "idle"
    TUNNEL = "tunnel"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should not exceed, or reach; `of` names the part of it that is meant."""

    bound: float
    of: str | None = None
    at_least: bool = False

    def kept(self, figure: Figure | None) -> bool:
        """A figure that is not there misses its aim."""
        value = _part(figure, self.of)
        if value is None:
            return False
        return value >= self.bound if self.at_least else value <= self.bound

    @override
    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{self.of or ''} {sign} {self.bound:g}".strip()


# For the virtual rig.
AIMS: Final[dict[Group, dict[str, tuple[Aim, ...]]]] = {
    Group.SESSIONS: {
        "card_in_to_prompt_ms": (Aim(250, "p50"),),
        "card_own_ms": (Aim(40, "p50"),),
        "image_to_decision_ms": (Aim(150, "p50"),),
        "decision_to_vm_ms": (Aim(25, "p50"),),
        "pq_total_ms": (Aim(3, "p50"),),
        "card_out_to_last_packet_ms": (Aim(1, "p50"), Aim(5, "p99")),
        "card_out_to_all_gone_ms": (Aim(100, "p99"),),
        "card_out_to_peer_removed_ms": (Aim(1000, "p99"),),
        "card_pulled_to_last_packet_ms": (Aim(450, "p99"),),
    },
    Group.CARDS: {
        "mute_card_s": (Aim(10.5),),  # the card's 10 s, and what is shown after them
    },
    Group.IDLE: {
        "pss_mb": (Aim(45, "core"), Aim(15, "card"), Aim(45, "finger"), Aim(35, "tunnel")),
        "pss_all_mb": (Aim(140),),
        "idle_cpu_percent": (Aim(0.1),),
        "ready_core_ms": (Aim(1000, "p99"),),
        "ready_tunnel_ms": (Aim(1000, "p99"),),
        "ready_walls_ms": (Aim(1000, "p99"),),
    },
    Group.TUNNEL: {
        "tunnel_throughput_ratio": (Aim(0.95, "p50", at_least=True),),
        "leaked_frames": (Aim(0),),
    },
    Group.LINK: {
        "revoked_to_box_ms": (Aim(2000, "p99"),),
    },
}


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of `ordered` (ascending) does not exceed.

    A value that was measured, never one in between: with few of them p99 is simply the worst.
    """
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def timing(values_ms: Iterable[float]) -> dict[str, float]:
    """`{"p50", "p95", "p99", "n"}`, in ms. Raises ValueError if nothing was measured."""
    ordered = sorted(values_ms)
    if not ordered:
        raise ValueError("nothing was measured")
    ranks = {name: round(quantile(ordered, share), 2) for name, share in QUANTILES.items()}
    return {**ranks, "n": len(ordered)}


def interval(ratios: Sequence[float], rng: random.Random) -> dict[str, float]:
    """The median, and where it lies with 95 %: the percentile bootstrap (Efron 1979)."""
    medians = sorted(
        statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLED)
    )
    return {
        "p50": round(statistics.median(ratios), 3),
        "low": round(quantile(medians, 0.025), 3),
        "high": round(quantile(medians, 0.975), 3),
        "n": len(ratios),
    }


def missed(figures: Mapping[str, Figure], groups: Iterable[Group] = Group) -> list[str]:
    """The aims of these groups that are missed, in words."""
    return [
        f"{name}: {_part(figures.get(name), aim.of)}, aim {aim}"
        for group in groups
        for name, aims in AIMS[group].items()
        for aim in aims
        if not aim.kept(figures.get(name))
    ]


def table(figures: Mapping[str, Figure]) -> str:
    """For people: a line a figure, with its aims."""
    wide = max(len(name) for name in figures)
    every = {name: aims for group in AIMS.values() for name, aims in group.items()}
    lines = []
    for name, figure in figures.items():
        aims = every.get(name, ())
        said = ", ".join(map(str, aims))
        kept = all(aim.kept(figure) for aim in aims)
        verdict = f"   aim {said}: {'met' if kept else 'MISSED'}" if aims else ""
        lines.append(f"{name:<{wide}}  {_words(figure):<44}{verdict}".rstrip())
    return "\n".join(lines)


def _part(figure: Figure | None, part: str | None) -> float | None:
    if isinstance(figure, dict):
        return figure.get(part) if part is not None else None
    return figure if part is None else None


def _words(figure: Figure) -> str:
    if isinstance(figure, dict):
        return "  ".join(f"{part} {value:g}" for part, value in figure.items())
    return f"{figure:g}"
