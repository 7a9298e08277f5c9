"""Relaxation: pairs of minutiae support one another when their geometry agrees.

Paper: section 4.2.2 (LSA-R), equations 20 to 27. Pairs are assigned greedily rather than by the
Hungarian method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.points import wrapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.points import Floats, Points

    Indices = NDArray[np.intp]


def assign(similarity: Floats) -> tuple[Indices, Indices]:
    """Best pairs first, each row and each column at most once, none of similarity 0."""
    order = np.argsort(-similarity, axis=None, kind="stable")
    order = order[: np.count_nonzero(similarity > 0)]
    rows: dict[int, int] = {}
    columns: set[int] = set()
    for place in order.tolist():
        row, column = divmod(place, similarity.shape[1])
        if row not in rows and column not in columns:
            rows[row] = column
            columns.add(column)
            if len(rows) == min(similarity.shape):
                break
    return np.array(list(rows), dtype=np.intp), np.array(list(rows.values()), dtype=np.intp)


def relax(strength: Floats, probe: Points, reference: Points, a: Indices, b: Indices) -> Floats:
    """Strengths after relaxation; `a`, `b`: the pairs' minutiae; all (pairs,)."""
    if len(strength) < 2:
        return strength
    support = _compatibility(probe, reference, a, b)
    np.fill_diagonal(support, 0)
    w, others = p.RELAXATION_WEIGHT, len(strength) - 1
    for _ in range(p.RELAXATION_ROUNDS):
        strength = w * strength + (1 - w) * (support @ strength) / others
    return strength


def _compatibility(probe: Points, reference: Points, a: Indices, b: Indices) -> Floats:
    distance_a, direction_a, radial_a = _geometry(probe, a)
    distance_b, direction_b, radial_b = _geometry(reference, b)
    return (
        _sigmoid(np.abs(distance_a - distance_b), *p.DISTANCE_SIGMOID)
        * _sigmoid(np.abs(wrapped(direction_a - direction_b)), *p.DIRECTION_SIGMOID)
        * _sigmoid(np.abs(wrapped(radial_a - radial_b)), *p.RADIAL_SIGMOID)
    )


def _geometry(points: Points, chosen: Indices) -> tuple[Floats, Floats, Floats]:
    """Distance, difference of direction and radial angle between chosen minutiae: (n, n) each."""
    xy, angle = points.xy_px[chosen], points.angle_rad[chosen]
    apart = xy[None, :, :] - xy[:, None, :]
    distance = np.hypot(apart[..., 0], apart[..., 1])
    direction = angle[:, None] - angle[None, :]
    radial = angle[:, None] - np.arctan2(apart[..., 1], apart[..., 0])
    return distance, direction, radial


def _sigmoid(value: Floats, centre: float, slope: float) -> Floats:
    return 1 / (
        1 + np.exp(np.minimum(-slope * (value - centre), 60.0))
    )  # e^60 is 0 in all but name
