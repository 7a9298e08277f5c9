"""Hulls, also of points that have none to speak of."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.biometrics import hull

SQUARE = np.array([(0, 0), (10, 0), (10, 10), (0, 10), (5, 5), (5, 0)], dtype=float)
whole = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=30)


def test_a_square_has_four_corners_and_its_area() -> None:
    corners = hull.convex_hull(SQUARE)
    assert sorted(map(tuple, corners)) == [(0, 0), (0, 10), (10, 0), (10, 10)]
    assert hull.area(corners) == 100


@pytest.mark.parametrize(
    ("points", "corners"), [([(1, 2)] * 5, 1), ([(0, 0), (3, 3), (1, 1), (2, 2)], 2)]
)
def test_one_place_and_one_line_have_no_area(points, corners) -> None:
    found = hull.convex_hull(np.array(points, dtype=float))
    assert len(found) == corners
    assert hull.area(found) == 0


@given(whole)
def test_every_point_is_in_its_own_hull(points) -> None:
    xy = np.array(points, dtype=float)
    assert hull.near_hull(xy, hull.convex_hull(xy), 1e-6).all()


@given(whole, st.tuples(st.integers(-200, 200), st.integers(-200, 200)), st.integers(0, 60))
def test_near_means_no_farther_than_the_margin(points, place, margin) -> None:
    xy = np.array(points, dtype=float)
    (near,) = hull.near_hull(np.array([place], dtype=float), hull.convex_hull(xy), margin + 0.5)
    nearest_point = min(math.dist(place, point) for point in points)
    if nearest_point <= margin:
        assert near
    directions = np.linspace(0, 2 * np.pi, 720)
    normals = np.stack([np.cos(directions), np.sin(directions)])
    beyond = (np.array(place) @ normals - (xy @ normals).max(axis=0)).max()  # distance to the hull
    if beyond > margin + 0.5:
        assert not near
    if beyond < margin - 0.1:
        assert near


def test_nothing_is_near_no_points() -> None:
    assert not hull.near_hull(SQUARE, hull.convex_hull(np.empty((0, 2))), 100).any()
