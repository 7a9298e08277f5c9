"""Templates as arrays."""

import dataclasses
import math

import numpy as np
from hypothesis import given

from sdbox_agent.biometrics import parameters
from sdbox_agent.biometrics.minutia import Minutia, Template
from sdbox_agent.biometrics.points import points, wrapped
from tests.biometrics.templates import finger, templates


def test_y_points_up() -> None:
    found = points(Template((Minutia(3.0, 5.0, 0.5),)))
    assert found.xy_px.tolist() == [[3.0, -5.0]]
    assert found.angle_rad.tolist() == [0.5]


def test_the_best_are_kept() -> None:
    many = finger(1, 60).minutiae + finger(2, 60).minutiae
    worst = sorted(m.quality for m in many)[: len(many) - parameters.MAX_MINUTIAE]
    kept = {tuple(row) for row in points(Template(many)).xy_px}
    assert len(kept) == parameters.MAX_MINUTIAE
    dropped = [m for m in many if (m.x_px, -m.y_px) not in kept]
    assert sorted(m.quality for m in dropped) == worst


def test_what_repeats_counts_once() -> None:
    once = finger(3)
    again = tuple(dataclasses.replace(m, quality=1) for m in once.minutiae)
    assert len(points(Template(once.minutiae + again))) == len(once.minutiae)


def qualities(*values: int) -> Template:
    return Template(tuple(Minutia(9.0 * k, 5.0, 0.5, quality=q) for k, q in enumerate(values)))


def test_worth_is_quality_beside_the_prints_own_mean() -> None:
    assert points(qualities(80, 40, 30)).worth.tolist() == [1.6, 0.8, 0.6]
    assert points(qualities(8, 4, 3)).worth.tolist() == [1.6, 0.8, 0.6]


def test_what_is_not_known_is_worth_the_mean() -> None:
    assert points(qualities(80, 40, 0)).worth.tolist() == [80 / 60, 40 / 60, 1]
    assert points(qualities(0, 0)).worth.tolist() == [1, 1]


def test_no_minutia_however_sure_decides_alone() -> None:
    worth = points(qualities(100, *[1] * 40)).worth
    assert worth[0] == parameters.MAX_WORTH
    assert (worth[1:] < 1).all()


def test_no_minutiae_are_no_points() -> None:
    assert points(Template(())).xy_px.shape == (0, 2)


@given(templates)
def test_points_are_finite_and_bounded(template) -> None:
    found = points(template)
    assert len(found) <= min(len(template.minutiae), parameters.MAX_MINUTIAE)
    assert np.isfinite(found.xy_px).all()


def test_wrapped_is_the_nearest_turn() -> None:
    angles = np.array([0, math.pi + 0.1, -math.pi - 0.1, 7.0, -7.0])
    expected = [0, -math.pi + 0.1, math.pi - 0.1, 7.0 - 2 * math.pi, 2 * math.pi - 7.0]
    assert np.allclose(wrapped(angles), expected)
