"""The protocol of the Fingerprint Verification Competitions over a set of impressions. Pure.

All pairs of impressions of one finger are genuine; impostors are all pairs of two fingers, or, as
the competitions had it, of their first impressions alone. Who could not be enrolled scores 0
against everybody. Rates are of comparisons: a box decides by an attempt's captures against several
views, which is another rate.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from msgspec.structs import replace

from sdbox_agent.biometrics import parameters, rates
from sdbox_agent.biometrics.rates import Scores
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sdbox_agent.biometrics.comparison import Prepared

    Compare = Callable[[Prepared, Prepared], float]
    Clock = Callable[[], float]

# -- Maio and others, "FVC2000: Fingerprint Verification Competition", 2002, section 4 -----------

AT: Final = {"FMR100": 1e-2, "FMR1000": 1e-3, "FMR10000": 1e-4, "ZeroFMR": 0.0}
GHOST: Final = 0.0  # the score of what could not be enrolled

# -- ours ----------------------------------------------------------------------------------------

POOLED: Final = "POOLED"  # the name of several sets at one threshold
SEED: Final = 1  # of the intervals: the same set gives the same report
ROUNDS: Final = 200
_NAME: Final = re.compile(r"(\d{1,9})_(\d{1,9})")
_THRESHOLD: Final = "THRESHOLD_"


@dataclass(frozen=True, slots=True)
class Sample:
    """One impression: whose, which, and what it is compared by (None: it could not be enrolled)."""

    name: str
    finger: int
    impression: int
    prepared: Prepared | None


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    a: Sample
    b: Sample
    score: float

    @property
    def genuine(self) -> bool:
        """Whether both are of one finger."""
        return self.a.finger == self.b.finger


@dataclass(frozen=True, slots=True)
class Trial:
    """A set, compared; `compare_ms` is the median of a comparison that was made."""

    name: str
    samples: tuple[Sample, ...]
    rows: tuple[Row, ...]
    compare_ms: float | None


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A rate, its interval, and the threshold it is at (None: no finite one)."""

    rate: float
    low: float
    high: float
    threshold: float | None = None


class AtThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold of the product does on this set, by comparisons."""

    threshold: float
    false_matches: int
    fmr: Rate
    false_non_matches: int
    fnmr: Rate


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the protocol says of one set, or of several at one common threshold.

    `fmr_bound`: where no impostor reached the product's threshold, the FMR that many independent
    comparisons would not show (they are not: those of one finger hang together).
    """

    name: str
    fingers: int
    impressions: int
    not_enrolled: int
    genuine: int
    impostor: int
    eer: Rate
    fnmr_at: dict[str, Rate]
    thresholds: dict[str, AtThreshold]
    fmr_bound: float
    compare_ms: float | None


def numbers(stem: str) -> tuple[int, int]:
    """Finger and impression in a file's name. Raises DecodeError."""
    named = _NAME.fullmatch(stem)
    if named is None:
        raise DecodeError("name is not FINGER_IMPRESSION")
    return int(named[1]), int(named[2])


def pairs(samples: Sequence[Sample], *, first_only: bool) -> Iterator[tuple[Sample, Sample]]:
    """Every comparison of the protocol, once; `first_only`: impostors by first impressions."""
    first: dict[int, int] = {}
    for sample in samples:
        first[sample.finger] = min(sample.impression, first.get(sample.finger, sample.impression))
    stands = {s.name for s in samples if not first_only or s.impression == first[s.finger]}
    for a, b in itertools.combinations(samples, 2):
        if a.finger == b.finger or {a.name, b.name} <= stands:
            yield a, b


def run(
    name: str, samples: Sequence[Sample], compare: Compare, clock: Clock, *, first_only: bool
) -> Trial:
    """Compare them all. Raises DecodeError for a set without genuine or without impostor pairs."""
    chosen = list(pairs(samples, first_only=first_only))
    if len({a.finger == b.finger for a, b in chosen}) != 2:
        raise DecodeError("needs two fingers or more, and two impressions of one")
    rows, took_s = [], []
    for a, b in chosen:
        score = GHOST
        if a.prepared is not None and b.prepared is not None:
            start_s = clock()
            score = compare(a.prepared, b.prepared)
            took_s.append(clock() - start_s)
        rows.append(Row(a, b, score))
    took_ms = 1000 * float(np.median(took_s)) if took_s else None
    return Trial(name, tuple(samples), tuple(rows), took_ms)


def scores(trials: Sequence[Trial]) -> Scores:
    """The scores of the sets together; fingers of different sets are different fingers."""
    whose: dict[tuple[int, int], int] = {}
    rows = [(place, row) for place, trial in enumerate(trials) for row in trial.rows]
    for place, row in rows:
        for sample in (row.a, row.b):
            whose.setdefault((place, sample.finger), len(whose))
    genuine = [(row.score, whose[place, row.a.finger]) for place, row in rows if row.genuine]
    impostor = [
        (row.score, whose[place, row.a.finger], whose[place, row.b.finger])
        for place, row in rows
        if not row.genuine
    ]
    return Scores(
        np.array([score for score, _ in genuine]),
        np.array([of for _, of in genuine], dtype=np.intp),
        np.array([score for score, _, _ in impostor]),
        np.array([(a, b) for _, a, b in impostor], dtype=np.intp).reshape(-1, 2),
    )


def thresholds() -> dict[str, float]:
    """The product's thresholds, by the name that says what each stands for."""
    return {
        name.removeprefix(_THRESHOLD): float(value)
        for name, value in sorted(vars(parameters).items())
        if name.startswith(_THRESHOLD)
    }


def summary(name: str, trials: Sequence[Trial], *, rounds: int = ROUNDS) -> Summary:
    """The figures of `trials` together, each with its interval."""
    found = scores(trials)
    both = found.genuine, found.impostor
    samples = [sample for trial in trials for sample in trial.samples]
    took_ms = [trial.compare_ms for trial in trials if trial.compare_ms is not None]
    equal, *others = _rates([rates.eer, *map(_fnmr_at, AT.values())], found, rounds)
    operating = [rates.fnmr_at(fmr, *both).threshold for fmr in AT.values()]
    return Summary(
        name=name,
        fingers=sum(len({sample.finger for sample in trial.samples}) for trial in trials),
        impressions=len(samples),
        not_enrolled=sum(sample.prepared is None for sample in samples),
        genuine=len(found.genuine),
        impostor=len(found.impostor),
        eer=equal,
        fnmr_at={
            called: replace(rate, threshold=at if np.isfinite(at) else None)
            for called, rate, at in zip(AT, others, operating, strict=True)
        },
        thresholds={called: _at(t, found, rounds) for called, t in thresholds().items()},
        fmr_bound=rates.bound_of_none(len(found.impostor)),
        compare_ms=float(np.median(took_ms)) if took_ms else None,
    )


def _rates(statistics: Sequence[rates.Statistic], found: Scores, rounds: int) -> list[Rate]:
    spread = rates.intervals(statistics, found, np.random.default_rng(SEED), rounds)
    return [
        Rate(rate=statistic(found.genuine, found.impostor), low=low, high=high)
        for statistic, (low, high) in zip(statistics, spread, strict=True)
    ]


def _fnmr_at(fmr: float) -> rates.Statistic:
    return lambda genuine, impostor: rates.fnmr_at(fmr, genuine, impostor).fnmr


def _at(threshold: float, found: Scores, rounds: int) -> AtThreshold:
    fmr, fnmr = _rates(
        [
            lambda _, impostor: float((impostor >= threshold).mean()),
            lambda genuine, _: float((genuine < threshold).mean()),
        ],
        found,
        rounds,
    )
    return AtThreshold(
        threshold=threshold,
        false_matches=int((found.impostor >= threshold).sum()),
        fmr=fmr,
        false_non_matches=int((found.genuine < threshold).sum()),
        fnmr=fnmr,
    )
