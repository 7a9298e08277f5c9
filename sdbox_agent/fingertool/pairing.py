"""Who met whom in a comparison, and what both fingers show: an explanation as plain numbers. Pure.

Places are in the frame of each impression's own template: pixels at 500 per inch, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from sdbox_agent.biometrics.comparison import Explanation, Prepared
    from sdbox_agent.biometrics.kernel import Registration
    from sdbox_agent.biometrics.points import Floats

PAIR_FROM: Final = 0.1  # weight of a pair worth showing: 2.1 standard deviations of its tolerance


@dataclass(frozen=True, slots=True)
class Pair:
    """Two minutiae that fall together.

    `probe` and `reference` count from 1, the best minutia of each print first. `apart_px` and
    `turn_rad` remain after the probe has been laid on the reference; `weight` in (0, 1] is what
    the pair counts.
    """

    probe: int
    reference: int
    probe_px: tuple[float, float]
    reference_px: tuple[float, float]
    apart_px: float
    turn_rad: float
    weight: float


@dataclass(frozen=True, slots=True)
class Pairing:
    """All of it. Turned by `angle_rad` (counter-clockwise as seen) the probe lies on the reference.

    `probe_area` and `reference_area` are the corners (k, 2) of what both show, k may be 0.
    """

    pairs: tuple[Pair, ...]
    angle_rad: float
    shift_px: tuple[float, float]
    probe_area: Floats
    reference_area: Floats


def pairing(probe: Prepared, reference: Prepared, found: Explanation) -> Pairing | None:
    """The pairs of weight PAIR_FROM or more, the surest first; None where there was nothing."""
    met = found.met
    if met is None:
        return None
    moved = _turned(probe.points.xy_px, met.angle_rad) + met.shift_px
    pairs = [
        _pair(place, probe, reference, met, moved)
        for place in np.argsort(-met.weight, kind="stable")
        if met.weight[place] >= PAIR_FROM
    ]
    common = clipped(_turned(probe.points.hull_px, met.angle_rad) + met.shift_px,
                     reference.points.hull_px)  # fmt: skip
    back = _turned(common - met.shift_px, -met.angle_rad)
    middle = probe.points.xy_px.mean(axis=0)
    shift = _turned(middle[None], met.angle_rad)[0] + met.shift_px - middle
    return Pairing(
        tuple(pairs),
        met.angle_rad,
        (float(shift[0]), float(-shift[1])),
        back * (1, -1),
        common * (1, -1),
    )


def _pair(
    place: int, probe: Prepared, reference: Prepared, met: Registration, moved: Floats
) -> Pair:
    partner = int(met.partner[place])
    (x, y), (to_x, to_y) = probe.points.xy_px[place], reference.points.xy_px[partner]
    turn = probe.points.angle_rad[place] + met.angle_rad - reference.points.angle_rad[partner]
    return Pair(
        int(place) + 1,
        partner + 1,
        (float(x), float(-y)),
        (float(to_x), float(-to_y)),
        float(math.hypot(*(moved[place] - reference.points.xy_px[partner]))),
        math.remainder(float(turn), 2 * math.pi),
        float(met.weight[place]),
    )


def _turned(xy: Floats, angle_rad: float) -> Floats:
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return np.stack([xy[:, 0] * cos - xy[:, 1] * sin, xy[:, 0] * sin + xy[:, 1] * cos], axis=1)


def clipped(area: Floats, window: Floats) -> Floats:
    """What of the convex `area` (k, 2) lies in the convex `window`; both counter-clockwise.

    Sutherland and Hodgman, "Reentrant polygon clipping", CACM 17(1), 1974.
    """
    if len(window) < 3:
        return np.empty((0, 2))
    corners = [np.asarray(corner, dtype=np.float64) for corner in area]
    for start, end in zip(window, np.roll(window, -1, axis=0), strict=True):
        edge = end - start
        side = [float(edge[0] * (c[1] - start[1]) - edge[1] * (c[0] - start[0])) for c in corners]
        kept = []
        for k, (corner, here) in enumerate(zip(corners, side, strict=True)):
            before, there = corners[k - 1], side[k - 1]
            if (here >= 0) != (there >= 0):
                kept.append(before + (corner - before) * (there / (there - here)))
            if here >= 0:
                kept.append(corner)
        corners = kept
    return np.array(corners).reshape(-1, 2)
