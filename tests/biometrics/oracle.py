"""What kernel.c does, written once more with arrays: slow, short, and shares no line with it.

Relaxation: Cappelli, Ferrara, Maltoni, "Minutia Cylinder-Code", IEEE TPAMI 32(12), 2010, section
4.2.2 (LSA-R), equations 20 to 27, with pairs assigned greedily.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.hull import near_hull
from sdbox_agent.biometrics.points import Points, wrapped

Floats = NDArray[np.float64]
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


@dataclass(frozen=True, slots=True)
class Motion:
    """`h` rigid motions, probe to reference: turned by `angle_rad` (h,), then moved `shift_px`."""

    angle_rad: Floats
    shift_px: Floats  # (h, 2)

    def apply(self, xy_px: Floats) -> Floats:
        """Places (n, 2), or (h, n, 2), under each motion: (h, n, 2)."""
        return _turn(xy_px, self.angle_rad) + self.shift_px[:, None, :]

    def undo(self, xy_px: Floats) -> Floats:
        """Places (n, 2) under the inverse of each motion: (h, n, 2)."""
        return _turn(xy_px - self.shift_px[:, None, :], -self.angle_rad)

    def only(self, chosen: Indices) -> Motion:
        """Those of the motions."""
        return Motion(self.angle_rad[chosen], self.shift_px[chosen])


@dataclass(frozen=True, slots=True)
class Meeting:
    """What falls together under each motion: soft count (h,), weights and partners (h, probe)."""

    count: Floats
    weight: Floats
    partner: Indices


@dataclass(frozen=True, slots=True)
class Registration:
    """What meets under the best motion, and what of each print lies in the common area; worth."""

    paired: float
    probe_overlap: float
    reference_overlap: float


def register(probe: Points, reference: Points, a: Indices, b: Indices) -> Registration:
    """Register from proposals `a` (probe) and `b` (reference): minutia indices, best first."""
    motion = _proposals(probe, reference, a, b)
    meeting = _meet(motion, probe, reference, p.TOLERANCES[0])
    for tolerance in p.TOLERANCES[1:]:
        best = np.argsort(-meeting.count, kind="stable")[: p.REFINED_PROPOSALS]
        motion = _refine(motion.only(best), _only(meeting, best), probe, reference)
        meeting = _meet(motion, probe, reference, tolerance)
    best = np.argsort(-meeting.count, kind="stable")[:1]
    motion = motion.only(best)
    rigid, meeting = motion.apply(probe.xy_px)[0], _only(meeting, best)
    here = near_hull(rigid, reference.hull_px, p.OVERLAP_MARGIN_PX)
    there = near_hull(motion.undo(reference.xy_px)[0], probe.hull_px, p.OVERLAP_MARGIN_PX)
    for _ in range(p.BENDING_ROUNDS):
        bent = _bent(rigid, meeting.weight[0], reference.xy_px[meeting.partner[0]])
        meeting = _meet_at(bent[None], motion, probe, reference, p.BENT_TOLERANCE)
    worth = np.sqrt(probe.worth * reference.worth[meeting.partner[0]])
    return Registration(
        float(meeting.weight[0] @ worth),
        float(probe.worth[here].sum()),
        float(reference.worth[there].sum()),
    )


def _bent(rigid_px: Floats, weight: Floats, target_px: Floats) -> Floats:
    """Each place moved by the mean displacement of the pairs around it, and none, weighted."""
    apart2 = ((rigid_px[:, None] - rigid_px[None]) ** 2).sum(axis=-1)
    pull = weight * np.exp(-apart2 / (2 * p.BEND_REACH_PX**2))
    return rigid_px + pull @ (target_px - rigid_px) / (p.STIFFNESS + pull.sum(axis=1))[:, None]


def _proposals(probe: Points, reference: Points, a: Indices, b: Indices) -> Motion:
    angle = wrapped(reference.angle_rad[b] - probe.angle_rad[a])
    turned = _turn(probe.xy_px[a][:, None, :], angle)[:, 0]
    return Motion(angle, reference.xy_px[b] - turned)


def _turn(xy_px: Floats, angle_rad: Floats) -> Floats:
    cos, sin = np.cos(angle_rad)[:, None], np.sin(angle_rad)[:, None]
    x, y = xy_px[..., 0], xy_px[..., 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)


def _meet(
    motion: Motion, probe: Points, reference: Points, tolerance: tuple[float, float]
) -> Meeting:
    return _meet_at(motion.apply(probe.xy_px), motion, probe, reference, tolerance)


def _meet_at(
    moved_px: Floats,
    motion: Motion,
    probe: Points,
    reference: Points,
    tolerance: tuple[float, float],
) -> Meeting:
    """Mutually nearest minutiae, weighted by a Gaussian of `tolerance` (pixels, radians)."""
    sigma_px, sigma_rad = tolerance
    moved = moved_px[:, :, None, :]
    apart2 = (moved[..., 0] - reference.xy_px[:, 0]) ** 2
    apart2 += (moved[..., 1] - reference.xy_px[:, 1]) ** 2
    turn = wrapped(probe.angle_rad[:, None] + motion.angle_rad[:, None, None] - reference.angle_rad)
    exponent = apart2 / (2 * sigma_px**2) + turn**2 / (2 * sigma_rad**2)
    weight = np.where(exponent < p.FAINTEST_MEETING, np.exp(-exponent), 0)
    partner, back = weight.argmax(axis=2), weight.argmax(axis=1)
    mutual = np.take_along_axis(back, partner, axis=1) == np.arange(len(probe))
    best = np.take_along_axis(weight, partner[:, :, None], axis=2)[:, :, 0] * mutual
    return Meeting(best.sum(axis=1), best, partner)


def _only(meeting: Meeting, chosen: Indices) -> Meeting:
    return Meeting(meeting.count[chosen], meeting.weight[chosen], meeting.partner[chosen])


def _refine(motion: Motion, meeting: Meeting, probe: Points, reference: Points) -> Motion:
    """Weighted least squares in the plane; a motion under which nothing meets stays as it is."""
    met = meeting.count > p.NOTHING_MEETS
    weight = meeting.weight / np.where(met, meeting.count, 1.0)[:, None]
    target = reference.xy_px[meeting.partner]
    middle = (weight[:, :, None] * probe.xy_px).sum(axis=1)
    target_middle = (weight[:, :, None] * target).sum(axis=1)
    a, b = probe.xy_px - middle[:, None, :], target - target_middle[:, None, :]
    dot = (weight * (a * b).sum(axis=-1)).sum(axis=1)
    cross = (weight * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])).sum(axis=1)
    angle = np.where(met, np.arctan2(cross, dot), motion.angle_rad)
    shift = target_middle - _turn(middle[:, None, :], angle)[:, 0]
    return Motion(angle, np.where(met[:, None], shift, motion.shift_px))
