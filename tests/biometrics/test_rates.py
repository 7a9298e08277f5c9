"""Rates against cases counted by hand, and intervals against a distribution that is known."""

import numpy as np
import pytest

from sdbox_agent.biometrics import rates
from sdbox_agent.biometrics.rates import Scores


def test_rates_are_counted_at_every_score() -> None:
    found = rates.fmr_fnmr([3, 1, 4], [0, 1])
    assert found.threshold.tolist() == [0, 1, 3, 4, np.inf]
    assert found.fmr.tolist() == [1, 0.5, 0, 0, 0]  # of 0 and 1: those not below
    assert found.fnmr.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("genuine", "impostor", "expected"),
    [
        ([1, 1, 1], [0, 0, 0], 0.0),  # apart
        ([0, 0], [1, 1], 1.0),  # the wrong way round
        ([5, 5], [5, 5], 0.5),  # all alike
        ([0.4, 0.6, 0.8, 0.9], [0.1, 0.2, 0.3, 0.7], 0.25),  # they meet: one of four each
        ([2, 3, 4], [0, 1, 2, 2], 1 / 6),  # at 2: 1/2 and 0; at 3: 0 and 1/3, which is less
        ([1, 1.5, 9], [0, 0, 0, 1], 1 / 8),  # at 1: 1/4 and 0, which is less; at 1.5: 0 and 1/3
    ],
)
def test_the_equal_error_rate_of_cases_counted_by_hand(
    genuine: list[float], impostor: list[float], expected: float
) -> None:
    assert rates.eer(genuine, impostor) == pytest.approx(expected)


def test_an_overlap_of_ten_of_a_hundred_is_five_percent() -> None:
    genuine, impostor = np.arange(100) + 90.0, np.arange(100.0)
    assert rates.eer(genuine, impostor) == pytest.approx(0.05)
    assert rates.fnmr_at(0.0, genuine, impostor) == (pytest.approx(0.10), 100.0)
    assert rates.fnmr_at(0.01, genuine, impostor) == (pytest.approx(0.09), 99.0)
    assert rates.fnmr_at(1.0, genuine, impostor) == (0.0, 0.0)


def test_a_rate_that_is_just_allowed_is_allowed() -> None:
    """One in a thousand is 0.001 and not a rounding above it."""
    assert rates.fnmr_at(1e-3, [999.0], np.arange(1000)) == (0.0, 999.0)


def test_where_only_infinity_keeps_impostors_out_nobody_comes_in() -> None:
    assert rates.fnmr_at(0.0, [1.0], [2.0]) == (1.0, np.inf)


@pytest.mark.parametrize(("genuine", "impostor"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_half_a_trial_has_no_rates(genuine: list[float], impostor: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        rates.fmr_fnmr(genuine, impostor)


def fingers(rng: np.random.Generator, count: int, spread: float) -> Scores:
    """Ten genuine scores a finger, round a mean of its own; impostors at 0. True rate at 0: 1/2."""
    own = rng.normal(0, spread, count)
    of = np.repeat(np.arange(count), 10)
    pairs = np.array([(a, b) for a in range(count) for b in range(a)])
    return Scores(own[of] + rng.normal(0, 1e-3, len(of)), of, np.zeros(len(pairs)), pairs)


def refused(genuine: np.ndarray, _: np.ndarray) -> float:
    return float((genuine < 0).mean())


def test_an_interval_of_fingers_covers_the_truth_where_one_of_scores_would_not() -> None:
    rng = np.random.default_rng(4)
    covered, alone, trials = 0, 0, 120
    for _ in range(trials):
        scores = fingers(rng, 20, 1.0)
        low, high = rates.interval(refused, scores, rng, 200)
        covered += low <= 0.5 <= high
        share = refused(scores.genuine, scores.impostor)
        half = 1.96 * np.sqrt(share * (1 - share) / len(scores.genuine))
        alone += abs(share - 0.5) <= half
    assert covered >= 0.88 * trials  # 95 % in the long run; 20 fingers give a little less
    assert alone <= 0.60 * trials


def test_an_interval_is_the_same_for_the_same_seed_whatever_the_fingers_are_called() -> None:
    scores = fingers(np.random.default_rng(1), 8, 1.0)
    renamed = Scores(
        scores.genuine, scores.genuine_of * 7 + 3, scores.impostor, scores.impostor_of * 7 + 3
    )
    found = [
        rates.interval(refused, each, np.random.default_rng(2), 50) for each in (scores, renamed)
    ]
    assert found[0] == found[1]
    assert 0 <= found[0][0] < found[0][1] <= 1


def test_a_comparison_counts_as_often_as_both_fingers_were_drawn() -> None:
    """Two fingers: a round draws both, or one twice and then there is no impostor: drawn again."""
    scores = Scores(np.array([1.0, 2.0]), np.array([0, 1]), np.array([0.5]), np.array([[0, 1]]))
    seen: list[tuple[list[float], list[float]]] = []

    def keep(genuine: np.ndarray, impostor: np.ndarray) -> float:
        seen.append((genuine.tolist(), impostor.tolist()))
        return 0.0

    rates.interval(keep, scores, np.random.default_rng(0), 20)
    assert seen == [([1.0, 2.0], [0.5])] * 20
    three = Scores(
        np.array([1.0, 2.0, 3.0]), np.array([0, 1, 2]), np.array([0.5, 0.6]),
        np.array([[0, 1], [1, 2]]),
    )  # fmt: skip
    seen.clear()
    rates.interval(keep, three, np.random.default_rng(0), 60)
    assert ([1.0, 1.0, 2.0], [0.5, 0.5]) in seen
    assert ([2.0, 3.0, 3.0], [0.6, 0.6]) in seen


def test_an_interval_of_one_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        rates.interval(
            refused,
            Scores(np.ones(2), np.array([0, 1]), np.zeros(0), np.zeros((0, 2), dtype=np.intp)),
            np.random.default_rng(0),
            5,
        )


def test_none_of_many_is_about_three_of_them() -> None:
    assert rates.bound_of_none(2000) == pytest.approx(3 / 2000, rel=0.01)
    assert rates.bound_of_none(1) == pytest.approx(0.95)
    assert rates.bound_of_none(0) == 1.0


def test_intervals_of_several_are_those_of_each() -> None:
    scores = fingers(np.random.default_rng(1), 8, 1.0)
    both = rates.intervals([refused, rates.eer], scores, np.random.default_rng(2), 40)
    alone = [
        rates.interval(statistic, scores, np.random.default_rng(2), 40)
        for statistic in (refused, rates.eer)
    ]
    assert both == alone
