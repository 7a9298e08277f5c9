"""Error rates of decisions, and how far chance in the choice of people moves them.

Decisions about the same person are alike: a finger that is easily mistaken is so again and again.
So intervals come from drawing *people* anew, with all decisions between them, never single
decisions (R. M. Bolle, N. K. Ratha, S. Pankanti, "Error analysis of pattern recognition systems:
the subsets bootstrap", CVIU 93, 2004; for pairs, each decision weighs as often as all of its
people were drawn). Knows nothing of fingers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdbox_agent.biometrics.rates import CONFIDENCE, bound_of_none

Floats = NDArray[np.float64]

ROUNDS = 1000  # of drawing people anew
FEW_EVENTS = 10  # a rate that rests on fewer errors is hardly measured


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """`score` (n,), and `who` (n, k): the people each decision is about, numbered from 0."""

    score: Floats
    who: NDArray[np.intp]

    def __len__(self) -> int:
        """How many decisions."""
        return len(self.score)

    @property
    def people(self) -> int:
        """How many people they are about."""
        return len(np.unique(self.who))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and between what its 95 % interval lies."""

    value: float
    low: float
    high: float


def threshold(score: Floats, rate: float, weight: Floats | None = None) -> float:
    """The lowest threshold that lets at most `rate` of the decisions (by weight) reach it."""
    order = np.argsort(-score, kind="stable")
    mass = np.cumsum(np.ones(len(score)) if weight is None else weight[order])
    refused = int(np.searchsorted(mass, rate * mass[-1] * (1 + 1e-12), side="right"))
    if refused == len(score):
        return float(score.min())
    return float(np.nextafter(score[order[refused]], np.inf))


def thresholds(impostor: Decisions, rates: tuple[float, ...], seed: int = 1) -> list[Estimate]:
    """The threshold of each false match rate, with its interval."""
    order = np.argsort(-impostor.score, kind="stable")
    ranked = Decisions(impostor.score[order], impostor.who[order])
    drawn = np.array(
        [
            [threshold(ranked.score, rate, weight) for rate in rates]
            for weight in _weights(ranked, seed)
        ]
    )
    low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=0)
    return [
        Estimate(threshold(ranked.score, rate), float(below), float(above))
        for rate, below, above in zip(rates, low, high, strict=True)
    ]


def share(hit: NDArray[np.bool_], who: NDArray[np.intp], seed: int = 1) -> Estimate:
    """The share of decisions that are hit, with its interval.

    Where none is, drawing anew shows none either: then the upper end is what that many people
    without one allow, were they all that was independent.
    """
    decisions = Decisions(hit.astype(np.float64), who)
    if not hit.any():
        return Estimate(0.0, 0.0, bound_of_none(decisions.people))
    drawn = [float(weight @ decisions.score / weight.sum()) for weight in _weights(decisions, seed)]
    low, high = np.quantile(drawn, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Estimate(float(hit.mean()), float(low), float(high))


def _weights(decisions: Decisions, seed: int) -> Iterator[Floats]:
    """How often each decision counts in each draw of people; draws that leave none are skipped."""
    names, place = np.unique(decisions.who, return_inverse=True)
    place = place.reshape(decisions.who.shape)
    rng = np.random.Generator(np.random.PCG64(seed))
    for _ in range(ROUNDS):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        weight = times[place].prod(axis=1).astype(np.float64)
        if weight.any():
            yield weight
