"""The comparison of two templates: a score, and the decision at a named threshold.

Score = sqrt(relaxed cylinder similarity) x share of minutiae that meet after registration. The two
err differently, the first on small overlap, the second on crowded prints: their product is better
than either (tests/fvc.py measures it). Scores lie in [0, 1]; more is more alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.cylinder import Cylinders, cylinders
from sdbox_agent.biometrics.kernel import assign, register, relax
from sdbox_agent.biometrics.points import Points, points
from sdbox_agent.biometrics.similarity import local_similarity

if TYPE_CHECKING:
    from sdbox_agent.biometrics.kernel import Registration
    from sdbox_agent.biometrics.minutia import Template
    from sdbox_agent.biometrics.points import Floats


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """A template made ready for any number of comparisons."""

    points: Points
    cylinders: Cylinders

    @override
    def __repr__(self) -> str:
        return f"<Prepared of {len(self.points)}>"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """What a score was made of: score = sqrt(similarity) x share.

    `met` is how the probe lies on the reference, and which minutiae fall together; None where
    nothing was found to begin with.
    """

    score: float = 0.0
    similarity: float = 0.0
    share: float = 0.0
    met: Registration | None = None

    @override
    def __repr__(self) -> str:
        return "<Explanation>"


def prepare(template: Template) -> Prepared:
    """Cylinders of the best minutiae. Any template will do: a poor one only scores low."""
    chosen = points(template)
    return Prepared(chosen, cylinders(chosen))


def compare(probe: Prepared, reference: Prepared) -> float:
    """Comparison score in [0, 1]; 0 where there is nothing to compare."""
    return explain(probe, reference).score


def explain(probe: Prepared, reference: Prepared) -> Explanation:
    """The comparison with what it found on its way: for tools, never for a box's log."""
    similarity = local_similarity(
        probe.cylinders, reference.cylinders, probe.points, reference.points
    )
    rows, columns = assign(similarity)
    if len(rows) < p.MIN_PAIRS:
        return Explanation()
    a, b = probe.cylinders.index[rows], reference.cylinders.index[columns]
    before = similarity[rows, columns]
    after = relax(before, probe.points, reference.points, a, b)
    strongest = np.argsort(-after, kind="stable")[: p.PROPOSALS]
    met = register(probe.points, reference.points, a[strongest], b[strongest])
    probe_area = max(met.probe_overlap, p.MIN_OVERLAP)
    reference_area = max(met.reference_overlap, p.MIN_OVERLAP)
    share = min(met.paired / math.sqrt(probe_area * reference_area), 1.0)
    overall = _global(before, after, min(similarity.shape))
    return Explanation(math.sqrt(overall) * share, overall, share, met)


def _global(before: Floats, after: Floats, cylinders_: int) -> float:
    """Mean relaxed strength of the pairs that kept most of theirs (paper, section 4.2.2)."""
    low, high = p.PAIRS_RANGE
    centre, slope = p.PAIRS_SIGMOID
    count = low + round((high - low) / (1 + math.exp(-slope * (cylinders_ - centre))))
    chosen = np.argsort(-after / before, kind="stable")[:count]
    return float(after[chosen].sum()) / count
