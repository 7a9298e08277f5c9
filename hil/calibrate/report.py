"""What was measured, as a table to read and as values to keep.

Every figure says whose it is: *virtual* people are many, and only as like real ones as they are
grown; *real* ones are few.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.calibrate import statistics
from hil.calibrate.statistics import Decisions

RATES = (1e-2, 1e-3, 1e-4)
MEASURES = ("minutiae", "area_mm2", "mean_quality")  # of a touch


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Decisions about people of one kind; `genuine` after one capture, two, ..."""

    kind: str
    impostor: Decisions
    genuine: list[Decisions]
    refused: list[int]
    measures: NDArray[np.float64]


def values(virtual: Measured, real: list[Measured]) -> dict[str, Any]:
    """Everything that is printed. `real`: all sets together first, then each."""
    found = statistics.thresholds(virtual.impostor, RATES)
    return {
        "thresholds": [
            {
                "fmr": rate,
                "threshold": dataclasses.asdict(at),
                "virtual_decisions_above": round(rate * len(virtual.impostor)),
                "rates": [_rates(kind, at.value) for kind in (virtual, *real)],
            }
            for rate, at in zip(RATES, found, strict=True)
        ],
        "kinds": [_shape(kind) for kind in (virtual, *real)],
    }


def _rates(measured: Measured, threshold: float) -> dict[str, Any]:
    return {
        "kind": measured.kind,
        "fmr": dataclasses.asdict(
            statistics.share(measured.impostor.score >= threshold, measured.impostor.who)
        ),
        "fnmr_after_captures": [
            dataclasses.asdict(statistics.share(after.score < threshold, after.who))
            for after in measured.genuine
        ],
    }


def _shape(measured: Measured) -> dict[str, Any]:
    return {
        "kind": measured.kind,
        "people": measured.genuine[0].people,
        "impostor_decisions": len(measured.impostor),
        "genuine_decisions": len(measured.genuine[0]),
        "touches_refused_a_finger": float(np.mean(measured.refused)),
        **{
            what: _quantiles(column, (0.05, 0.25, 0.5, 0.75, 0.95))
            for what, column in zip(MEASURES, measured.measures.T, strict=True)
        },
        "impostor_quantiles": _quantiles(measured.impostor.score, (0.5, 0.9, 0.99, 0.999, 1.0)),
        "genuine_quantiles": _quantiles(
            measured.genuine[0].score, (0.01, 0.05, 0.1, 0.25, 0.5, 0.75)
        ),
    }


def _quantiles(of: NDArray[np.float64], shares: tuple[float, ...]) -> dict[str, float]:
    cuts = np.quantile(of, shares)
    return {f"{share:g}": float(cut) for share, cut in zip(shares, cuts, strict=True)}


def text(found: dict[str, Any]) -> str:
    """The same for a person, and the constants for parameters.py."""
    lines = []
    for kind in found["kinds"]:
        lines += [
            f"{kind['kind']}: {kind['people']} people, {kind['impostor_decisions']} impostor and "
            f"{kind['genuine_decisions']} genuine decisions; "
            f"{kind['touches_refused_a_finger']:.2f} touches a finger refused for quality",
            *(f"  {what} {_row(kind[what], 0)}" for what in MEASURES),
            f"  impostor score {_row(kind['impostor_quantiles'])}",
            f"  genuine score, one capture {_row(kind['genuine_quantiles'])}",
        ]
    for row in found["thresholds"]:
        at = row["threshold"]
        lines += [
            "",
            f"FMR {row['fmr']:g} of virtual decisions: threshold {_figure(at, 1, 4)}, "
            f"by {row['virtual_decisions_above']} decisions{_doubt(row)}",
        ]
        lines += [_rates_text(rates) for rates in row["rates"]]
    return "\n".join([*lines, "", "95 % intervals: people drawn anew.", "", *constants(found)])


def constants(found: dict[str, Any]) -> list[str]:
    """Lines for parameters.py; rounded up: a rate named is not exceeded."""
    lines = []
    for row in found["thresholds"]:
        at = row["threshold"]
        name = f"THRESHOLD_FMR_1E_{round(-np.log10(row['fmr']))}"
        lines.append(
            f"{name}: Final = {np.ceil(at['value'] * 1e4) / 1e4:.4f}"
            f"  # {at['low']:.4f} to {at['high']:.4f} (95 %)"
        )
    return lines


def _doubt(row: dict[str, Any]) -> str:
    few = row["virtual_decisions_above"] < statistics.FEW_EVENTS
    return " (too few to name a rate by)" if few else ""


def _rates_text(rates: dict[str, Any]) -> str:
    refused = " / ".join(_figure(after, 100, 2) for after in rates["fnmr_after_captures"])
    return f"  {rates['kind']:14s} FMR {_figure(rates['fmr'], 100, 3)} %, FNMR {refused} %"


def _figure(estimate: dict[str, float], scale: float, digits: int) -> str:
    value, low, high = (f"{scale * estimate[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _row(quantiles: dict[str, float], digits: int = 3) -> str:
    return "  ".join(
        f"{100 * float(share):g} %: {cut:.{digits}f}" for share, cut in quantiles.items()
    )
