"""What one spent attempt accepts: its captures so far, against all views of all enrolled fingers.

The rates that thresholds are named by are rates of this, not of single comparisons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.comparison import compare
from sdbox_agent.terms import Band

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdbox_agent.biometrics.comparison import Prepared


def fused(captures: Sequence[Prepared], references: Sequence[tuple[int, Prepared]]) -> float:
    """Score in [0, 1] of captures of one finger against views (finger position, view); 0 with none.

    Never lower for a capture more: an attempt that has been accepted stays so. The best of all: on
    real sets, means and root mean squares of several views gain nothing once three captures count.
    """
    return max((compare(a, b) for a in captures for _, b in references), default=0.0)


def accepts(score: float) -> bool:
    """The decision."""
    return score >= p.THRESHOLD_FMR_1E_4


def band(score: float) -> Band:
    """Of an accepted score."""
    if score >= p.STRONG_FROM:
        return Band.STRONG
    return Band.FAIR if score >= p.FAIR_FROM else Band.WEAK
