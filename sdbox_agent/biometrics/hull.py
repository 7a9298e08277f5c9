"""The convex hull of points in the plane, and what lies in or near it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.points import Floats

    Point = tuple[float, float]


def convex_hull(xy: Floats) -> Floats:
    """Corners (k, 2), counter-clockwise; k is 1 or 2 when the points are one place or one line.

    Andrew's monotone chain (1979). No points have no corners.
    """
    places = sorted({(float(x), float(y)) for x, y in xy})
    if len(places) < 2:
        return np.array(places, dtype=np.float64).reshape(-1, 2)
    lower, upper = _chain(places), _chain(places[::-1])
    return np.array(lower[:-1] + upper[:-1])


def _chain(places: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for place in places:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], place) <= 0:
            chain.pop()
        chain.append(place)
    return chain


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def area(corners: Floats) -> float:
    """Area inside `corners` (k, 2), in the square of their unit."""
    x, y = corners[:, 0], corners[:, 1]
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def near_hull(places: Floats, corners: Floats, margin: float) -> NDArray[np.bool_]:
    """Which of `places` (..., 2) lie inside `corners` (k, 2), or no farther than `margin` away."""
    start = corners
    edge = np.roll(start, -1, axis=0) - start
    length2 = np.maximum((edge**2).sum(axis=1), 1e-12)
    x, y = (
        np.ascontiguousarray(places[..., 0]).ravel(),
        np.ascontiguousarray(places[..., 1]).ravel(),
    )
    near = np.full(x.shape, len(start) > 2)
    for (from_x, from_y), (dx, dy) in zip(start, edge, strict=True):
        near &= dx * (y - from_y) - dy * (x - from_x) >= 0
    outside = np.flatnonzero(~near)  # only these have a distance worth knowing
    x, y = x[outside], y[outside]
    best2 = np.full(x.shape, np.inf)
    for (from_x, from_y), (dx, dy), l2 in zip(start, edge, length2, strict=True):
        ax, ay = x - from_x, y - from_y
        along = np.clip((ax * dx + ay * dy) / l2, 0, 1)
        best2 = np.minimum(best2, (ax - along * dx) ** 2 + (ay - along * dy) ** 2)
    near[outside] = best2 <= margin**2
    return near.reshape(places.shape[:-1])
