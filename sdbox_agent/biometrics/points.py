"""A template as arrays, ready for geometry: y up, best minutiae first, no duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from sdbox_agent.biometrics import kernel
from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.hull import convex_hull

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.minutia import Minutia, Template

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class Points:
    """`xy_px` (n, 2), y up; `angle_rad` (n,); their convex hull `hull_px` (k, 2); all float64.

    `worth` (n,): how much each counts, in minutiae of this print's mean quality.
    """

    xy_px: Floats
    angle_rad: Floats
    worth: Floats
    hull_px: Floats

    def __post_init__(self) -> None:
        """Raise Bug for arrays that compiled code could not read."""
        kernel.check_points(self)

    def __len__(self) -> int:
        """How many minutiae."""
        return len(self.angle_rad)

    @override
    def __repr__(self) -> str:
        return f"<Points of {len(self)}>"


def points(template: Template) -> Points:
    """The best MAX_MINUTIAE minutiae of `template`; those that repeat another are dropped."""
    best_first = sorted(template.minutiae, key=_quality, reverse=True)  # stable: ties keep order
    unique: dict[tuple[float, float, float], int] = {}
    for minutia in best_first:
        place = (minutia.x_px, minutia.y_px, minutia.angle_rad)
        unique.setdefault(place, minutia.quality)
    kept = list(unique.items())[: p.MAX_MINUTIAE]
    values = np.array([place for place, _ in kept], dtype=np.float64).reshape(-1, 3)
    xy_px = values[:, :2] * (1.0, -1.0)
    worth = _worth(np.array([quality for _, quality in kept], dtype=np.float64))
    return Points(xy_px, np.ascontiguousarray(values[:, 2]), worth, convex_hull(xy_px))


def _worth(quality: Floats) -> Floats:
    """Qualities relative to their mean: extractors' scales differ. One not known is the mean."""
    known = quality > 0
    if not known.any():
        return np.ones_like(quality)
    worth = np.where(known, quality / quality[known].mean(), 1.0)
    return np.asarray(np.minimum(worth, p.MAX_WORTH))


def _quality(minutia: Minutia) -> int:
    return minutia.quality


def wrapped(angle_rad: Floats) -> Floats:
    """The same angles in [-pi, pi), to a rounding."""
    return angle_rad - 2 * np.pi * np.floor((angle_rad + np.pi) / (2 * np.pi))  # `%` takes thrice
