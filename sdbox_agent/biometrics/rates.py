"""Error rates of a matcher, from scores of which it is known whose they are.

A higher score is more alike; a comparison is accepted from its threshold on. Definitions and names
are those of the Fingerprint Verification Competition (Maio, Maltoni, Cappelli, Wayman, Jain,
"FVC2000: Fingerprint Verification Competition", IEEE TPAMI 24(3), 2002, section 4). What a score is
of (a comparison, a whole attempt) is the caller's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Statistic = Callable[[Floats, Floats], float]

CONFIDENCE: Final = 0.95


class Rates(NamedTuple):
    """FMR and FNMR (k,) of accepting from `threshold` (k,) on; the last threshold is infinite."""

    threshold: Floats
    fmr: Floats
    fnmr: Floats


class Operating(NamedTuple):
    """A threshold, and the share of genuine comparisons it refuses."""

    fnmr: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores, and by whom: what a resampling of fingers, or of persons, needs.

    `genuine` (g,) of `genuine_of` (g,), `impostor` (i,) of the two in `impostor_of` (i, 2); who
    they are is any whole number.
    """

    genuine: Floats
    genuine_of: Indices
    impostor: Floats
    impostor_of: Indices


def fmr_fnmr(genuine: ArrayLike, impostor: ArrayLike) -> Rates:
    """Both rates at every score there is, ascending. Raises ValueError if either kind is missing.

    A comparison that could not be made counts: give it the lowest score there is.
    """
    own, other = (np.sort(np.asarray(s, dtype=np.float64).ravel()) for s in (genuine, impostor))
    if not (len(own) and len(other)):
        raise ValueError("both kinds of score are needed")
    if np.isnan(own[-1]) or np.isnan(other[-1]):
        raise ValueError("a score is no number")
    threshold = np.append(np.unique(np.concatenate([own, other])), np.inf)
    return Rates(
        threshold,
        (len(other) - np.searchsorted(other, threshold, "left")) / len(other),
        np.searchsorted(own, threshold, "left") / len(own),
    )


def eer(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Equal error rate: the mean of both rates where they cross.

    Where they do not meet at a threshold, that of its two neighbours with the lower mean.
    """
    _, fmr, fnmr = fmr_fnmr(genuine, impostor)
    after = int(np.argmax(fnmr >= fmr))  # there is one: at an infinite threshold nothing matches
    if fmr[after] == fnmr[after]:
        return float(fmr[after])
    closer = min(fmr[after - 1] + fnmr[after - 1], fmr[after] + fnmr[after])
    return float(closer) / 2


def fnmr_at(fmr: float, genuine: ArrayLike, impostor: ArrayLike) -> Operating:
    """The lowest FNMR at which the FMR is no more than `fmr`: FMR100 is that at 0.01."""
    rates = fmr_fnmr(genuine, impostor)
    first = int(np.argmax(rates.fmr <= fmr))  # FMR falls and FNMR rises with the threshold
    return Operating(float(rates.fnmr[first]), float(rates.threshold[first]))


def interval(
    statistic: Statistic, scores: Scores, rng: np.random.Generator, rounds: int
) -> tuple[float, float]:
    """Bounds, at CONFIDENCE, of `statistic(genuine, impostor)` over other fingers as these.

    The bootstrap's percentiles. Whole fingers (or persons) are drawn again, never scores: those of
    one finger depend on each other, and intervals that forget it are too narrow. A comparison of
    two fingers counts as often as both were drawn. What did not happen once it shows as impossible:
    then `bound_of_none` says more. Raises ValueError for scores of one kind only.
    """
    return intervals([statistic], scores, rng, rounds)[0]


def intervals(
    statistics: Sequence[Statistic], scores: Scores, rng: np.random.Generator, rounds: int
) -> list[tuple[float, float]]:
    """`interval` of each statistic, all over the same draws."""
    whose, places = np.unique(
        np.concatenate([scores.genuine_of, scores.impostor_of.ravel()]), return_inverse=True
    )
    own = places[: len(scores.genuine)]
    a, b = places[len(scores.genuine) :].reshape(-1, 2).T
    fmr_fnmr(scores.genuine, scores.impostor)
    found: list[list[float]] = []
    while len(found) < rounds:
        drawn = np.bincount(rng.integers(0, len(whose), len(whose)), minlength=len(whose))
        genuine = np.repeat(scores.genuine, drawn[own])
        impostor = np.repeat(scores.impostor, drawn[a] * drawn[b])
        if len(genuine) and len(impostor):  # else all drawn were one finger: says nothing
            found.append([statistic(genuine, impostor) for statistic in statistics])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def bound_of_none(trials: int) -> float:
    """The highest rate, at CONFIDENCE, at which `trials` independent ones may well show none."""
    return 1 - (1 - CONFIDENCE) ** (1 / trials) if trials else 1.0
