"""Assignment and relaxation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.biometrics.points import points
from sdbox_agent.biometrics.relaxation import assign, relax
from tests.biometrics.templates import finger, moved

tables = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2**32 - 1)).map(
    lambda shape: np.round(np.random.default_rng(shape[2]).uniform(-0.5, 1, shape[:2]).clip(0), 2)
)


@given(tables)
def test_each_row_and_column_is_used_once_and_best_first(table) -> None:
    rows, columns = assign(table)
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    strengths = table[rows, columns]
    assert (strengths > 0).all()
    assert (np.diff(strengths) <= 0).all()
    left = np.delete(np.delete(table, rows, axis=0), columns, axis=1)
    assert not left.size or not left.any()  # nothing that could still be paired is left


def test_the_greedy_choice_takes_the_strongest_first() -> None:
    rows, columns = assign(np.array([[0.9, 0.8], [0.85, 0.1]]))
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]


def test_true_pairs_keep_their_strength_and_false_ones_lose_it() -> None:
    probe = points(finger(4))
    reference = points(moved(finger(4), 0.4, (20.0, 10.0), jitter_px=1.0))
    # `points` sorts by quality, which `moved` keeps: minutia k is minutia k.
    a = np.arange(30)
    b = np.where(a < 20, a, a[::-1] + 5)  # the last ten are paired wrongly
    wrong = (a >= 20) & (a != b)
    strength = relax(np.full(30, 0.5), probe, reference, a, b)
    assert wrong.sum() >= 8
    assert strength[:20].min() > 2 * strength[wrong].max()


@given(st.integers(0, 3), st.integers(0, 100))
def test_strengths_stay_between_0_and_1(count, seed) -> None:
    probe, reference = points(finger(seed)), points(finger(seed + 1))
    chosen = np.arange(count)
    strength = relax(np.ones(count), probe, reference, chosen, chosen)
    assert strength.shape == (count,)
    assert ((strength >= 0) & (strength <= 1)).all()


def test_a_single_pair_has_nothing_to_be_supported_by() -> None:
    places, one = points(finger(1)), np.array([0])
    assert relax(np.array([0.5]), places, places, one, one) == [0.5]
