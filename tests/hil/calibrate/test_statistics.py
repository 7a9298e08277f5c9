import numpy as np
import pytest

from hil.calibrate import statistics
from hil.calibrate.statistics import Decisions, share, threshold, thresholds


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _decisions(rng: np.random.Generator, people: int, own: float) -> Decisions:
    """Everyone against everyone; of unit variance, `own` of it from the two concerned."""
    habit = rng.normal(0, 1, people)
    who = np.array([(a, b) for a in range(people) for b in range(people) if a != b])
    noise = rng.normal(0, 1, len(who))
    of_people = habit[who].sum(axis=1) / np.sqrt(2)
    return Decisions(np.sqrt(own) * of_people + np.sqrt(1 - own) * noise, who)


def test_a_known_distribution_gives_the_known_threshold() -> None:
    score = (np.arange(100_000) + 0.5) / 100_000
    assert threshold(score, 1e-2) == pytest.approx(0.99, abs=2e-5)
    assert threshold(score, 1e-4) == pytest.approx(0.9999, abs=2e-5)


@pytest.mark.parametrize("rate", [1e-3, 0.01, 0.1, 0.5])
def test_a_threshold_lets_no_more_through_than_its_rate_and_the_next_lower_does(
    rate: float,
) -> None:
    score = np.round(_rng(3).normal(0, 1, 4000), 2)  # with many ties
    at = threshold(score, rate)
    assert (score >= at).mean() <= rate
    below = score[score < at].max()
    assert (score >= below).mean() > rate


def test_a_decision_counts_by_its_weight() -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4])
    assert threshold(score, 0.25) == np.nextafter(0.3, 1)
    assert threshold(score, 0.25, np.array([1.0, 1.0, 1.0, 0.0])) == np.nextafter(0.3, 1)
    assert threshold(score, 0.25, np.array([9.0, 1.0, 1.0, 1.0])) == np.nextafter(0.1, 1)
    assert threshold(score, 1.0) == 0.1


def test_everything_may_pass_at_rate_one_and_nothing_when_too_few() -> None:
    score = _rng(0).random(50)
    assert threshold(score, 1.0) == score.min()
    assert threshold(score, 1e-4) > score.max()


def test_an_interval_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of normal scores, a third of whose variance is people's; the true threshold is 1.645."""
    monkeypatch.setattr(statistics, "ROUNDS", 200)
    held = 0
    for seed in range(60):
        (found,) = thresholds(_decisions(_rng(seed), 80, 0.3), (0.05,))
        assert found.low <= found.value <= found.high
        held += found.low <= 1.6449 <= found.high
    assert held / 60 >= 0.88  # 0.95 wanted; with 80 people it is a little less


def test_people_are_drawn_not_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of decisions says less the more they are of the same people's making."""
    monkeypatch.setattr(statistics, "ROUNDS", 300)
    widths = []
    for own in (0.0, 0.8):
        (found,) = thresholds(_decisions(_rng(5), 40, own), (0.05,))
        widths.append(found.high - found.low)
    assert widths[1] > 2 * widths[0]


def test_an_interval_is_the_same_each_time() -> None:
    decisions = _decisions(_rng(1), 12, 0.3)
    assert thresholds(decisions, (0.1,)) == thresholds(decisions, (0.1,))


def test_a_share_and_its_interval() -> None:
    who = np.repeat(np.arange(200), 5)[:, None]
    hit = _rng(2).random(1000) < 0.1
    found = share(hit, who)
    assert found.value == hit.mean()
    assert 0.012 < found.value - found.low < 0.025
    assert 0.012 < found.high - found.value < 0.025


def test_none_seen_is_not_none_there() -> None:
    """Rule of three, by people: 300 of them with 5 decisions each bound a share at 1 %."""
    who = np.repeat(np.arange(300), 5)[:, None]
    found = share(np.zeros(1500, bool), who)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(0.01, rel=0.02)


def test_decisions_about_three_people_weigh_by_all_of_them() -> None:
    who = np.array([(a, b, c) for a in range(6) for b in range(6) for c in range(6)])
    hit = (who == 0).any(axis=1)
    found = share(hit, who)
    assert found.low == 0.0  # who is never drawn takes all of his decisions away
    assert found.high > 0.6
