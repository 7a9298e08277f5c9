"""Local similarity."""

import numpy as np
from hypothesis import given

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.comparison import prepare
from sdbox_agent.biometrics.cylinder import BASE_SIZE
from sdbox_agent.biometrics.similarity import local_similarity
from tests.biometrics.templates import finger, moved, templates


def similarity(a, b) -> np.ndarray:
    return local_similarity(a.cylinders, b.cylinders, a.points, b.points)


def test_it_is_the_papers_formula_pair_by_pair() -> None:
    a, b = prepare(finger(1)), prepare(moved(finger(1), 0.3, jitter_px=3.0))
    ours = similarity(a, b)
    for i, j in [(0, 0), (3, 5), (10, 2)]:
        common = a.cylinders.valid[i] * b.cylinders.valid[j]
        u, v = (
            (c.astype(np.float64) * common[:, None]).ravel()
            for c in (a.cylinders.cells[i], b.cylinders.cells[j])
        )
        turn = a.points.angle_rad[a.cylinders.index[i]] - b.points.angle_rad[b.cylinders.index[j]]
        turn = abs((turn + np.pi) % (2 * np.pi) - np.pi)
        expected = 1 - np.linalg.norm(u - v) / (np.linalg.norm(u) + np.linalg.norm(v))
        if turn > p.MAX_ROTATION_RAD or common.sum() < p.MIN_MATCHABLE_CELLS * BASE_SIZE:
            expected = 0
        assert abs(ours[i, j] - expected) < 1e-3


def test_a_cylinder_is_most_like_itself() -> None:
    a = prepare(finger(2))
    ours = similarity(a, a)
    assert np.allclose(ours.diagonal(), 1, atol=2e-3)
    assert (ours.argmax(axis=1) == np.arange(len(ours))).all()


def test_fingers_turned_too_far_are_not_compared() -> None:
    a, b = prepare(finger(3)), prepare(moved(finger(3), np.pi))
    true_pairs = [
        similarity(a, b)[i, j]
        for i, m in enumerate(a.cylinders.index)
        for j, n in enumerate(b.cylinders.index)
        if m == n
    ]
    assert true_pairs
    assert not any(true_pairs)


@given(templates, templates)
def test_it_lies_between_0_and_1_and_is_symmetric(one, other) -> None:
    a, b = prepare(one), prepare(other)
    ours = similarity(a, b)
    assert ((ours >= 0) & (ours <= 1)).all()
    assert np.allclose(ours, similarity(b, a).T, atol=1e-3)
