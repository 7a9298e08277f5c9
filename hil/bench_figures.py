"""What figures look like: summaries, aims, the table. Pure; knows nothing of measuring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Figure = float | dict[str, float]
Figures = dict[str, Figure]

QUANTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should not exceed; `of` names the part of it that is meant."""

    most: float
    of: str | None = None


# For the virtual rig.
AIMS: Final[dict[str, tuple[Aim, ...]]] = {
    "card_in_to_prompt_ms": (Aim(250, "p50"),),
    "card_own_ms": (Aim(40, "p50"),),
    "mute_card_s": (Aim(10.5),),  # the card's 10 s, and what is shown after them
    "image_to_decision_ms": (Aim(150, "p50"),),
    "decision_to_vm_ms": (Aim(60, "p50"),),
    "pq_total_ms": (Aim(3, "p50"),),
    "card_out_to_last_packet_ms": (Aim(5, "p50"),),
    "card_pulled_to_last_packet_ms": (Aim(450, "p99"),),
    "pss_mb": (Aim(45, "core"), Aim(15, "card"), Aim(45, "finger"), Aim(35, "tunnel")),
    "idle_cpu_percent": (Aim(0.1),),
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


def missed(figures: Mapping[str, Figure]) -> list[str]:
    """The aims that are missed, in words; a figure that is not there misses its aim."""
    complaints = []
    for name, aims in AIMS.items():
        for aim in aims:
            value = _part(figures.get(name), aim.of)
            if value is None or not value <= aim.most:
                part = f" {aim.of}" if aim.of else ""
                complaints.append(f"{name}{part}: {value}, aim {aim.most:g}")
    return complaints


def table(figures: Mapping[str, Figure]) -> str:
    """For people: a line a figure, with its aims."""
    wide = max(len(name) for name in figures)
    lines = []
    for name, figure in figures.items():
        aims = AIMS.get(name, ())
        said = ", ".join(f"{aim.of or ''} ≤ {aim.most:g}".strip() for aim in aims)
        kept = all(_kept(figure, aim) for aim in aims)
        verdict = f"   aim {said}: {'met' if kept else 'MISSED'}" if aims else ""
        lines.append(f"{name:<{wide}}  {_words(figure):<44}{verdict}".rstrip())
    return "\n".join(lines)


def _kept(figure: Figure, aim: Aim) -> bool:
    value = _part(figure, aim.of)
    return value is not None and value <= aim.most


def _part(figure: Figure | None, part: str | None) -> float | None:
    if isinstance(figure, dict):
        return figure.get(part) if part is not None else None
    return figure if part is None else None


def _words(figure: Figure) -> str:
    if isinstance(figure, dict):
        return "  ".join(f"{part} {value:g}" for part, value in figure.items())
    return f"{figure:g}"
