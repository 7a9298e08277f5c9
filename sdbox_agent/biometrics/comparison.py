"""The comparison of two templates: a score in [0, 1]; more is more alike.

Score = relaxed cylinder similarity, to a small power, x share of minutiae that meet once one finger
lies on the other. The two err differently, the first on small overlap, the second on crowded
prints: their product is better than either. Two extractors err differently as well: where both
templates have a second one's minutiae, the score is the root mean square of both comparisons, on
the same scale as one alone (tests/fvc.py measures all this).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.cylinder import Cylinders, cylinders
from sdbox_agent.biometrics.kernel import assign, register, relax
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.biometrics.points import Points, points
from sdbox_agent.biometrics.similarity import local_similarity

if TYPE_CHECKING:
    from sdbox_agent.biometrics.kernel import Registration
    from sdbox_agent.biometrics.points import Floats


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """A template made ready for any number of comparisons; `second`: by another extractor."""

    points: Points
    cylinders: Cylinders
    second: Prepared | None = None

    @override
    def __repr__(self) -> str:
        return f"<Prepared of {len(self.points)}>"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """What a score was made of: of one extractor, similarity ** SIMILARITY_POWER x share.

    `met` is how the probe lies on the reference, and which minutiae fall together; None where
    nothing was found to begin with. `second` is the score by the other extractor, which is in
    `score` too; None where either print has none.
    """

    score: float = 0.0
    similarity: float = 0.0
    share: float = 0.0
    met: Registration | None = None
    second: float | None = None

    @override
    def __repr__(self) -> str:
        return "<Explanation>"


def prepare(template: Template) -> Prepared:
    """Cylinders of the best minutiae. Any template will do: a poor one only scores low."""
    chosen = points(template)
    second = prepare(Template(template.second)) if template.second else None
    return Prepared(chosen, cylinders(chosen), second)


def compare(probe: Prepared, reference: Prepared) -> float:
    """Comparison score in [0, 1]; 0 where there is nothing to compare."""
    return explain(probe, reference).score


def explain(probe: Prepared, reference: Prepared) -> Explanation:
    """The comparison with what it found on its way: for tools, never for a box's log."""
    first = _explain_one(probe, reference)
    if probe.second is None or reference.second is None:
        return first
    second = _explain_one(probe.second, reference.second).score
    fused = math.sqrt((first.score**2 + second**2) / 2)
    return dataclasses.replace(first, score=fused, second=second)


def _explain_one(probe: Prepared, reference: Prepared) -> Explanation:
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
    common = math.sqrt(met.probe_overlap * met.reference_overlap)
    share = min(met.paired / (p.UNSEEN + common), 1.0)
    overall = _global(before, after, min(similarity.shape))
    return Explanation(overall**p.SIMILARITY_POWER * share, overall, share, met)


def _global(before: Floats, after: Floats, cylinders_: int) -> float:
    """Mean relaxed strength of the pairs that kept most of theirs (paper, section 4.2.2)."""
    low, high = p.PAIRS_RANGE
    centre, slope = p.PAIRS_SIGMOID
    count = low + round((high - low) / (1 + math.exp(-slope * (cylinders_ - centre))))
    chosen = np.argsort(-after / before, kind="stable")[:count]
    return float(after[chosen].sum()) / count
