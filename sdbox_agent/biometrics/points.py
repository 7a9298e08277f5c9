"""A template as arrays, ready for geometry: y up, best minutiae first, no duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from sdbox_agent.biometrics import parameters as p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.minutia import Minutia, Template

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class Points:
    """`xy_px` (n, 2), y up; `angle_rad` (n,); both float64."""

    xy_px: Floats
    angle_rad: Floats

    def __len__(self) -> int:
        """How many minutiae."""
        return len(self.angle_rad)

    @override
    def __repr__(self) -> str:
        return f"<Points of {len(self)}>"


def points(template: Template) -> Points:
    """The best MAX_MINUTIAE minutiae of `template`; those that repeat another are dropped."""
    unique = dict.fromkeys((m.x_px, m.y_px, m.angle_rad) for m in _best_first(template))
    kept = list(unique)[: p.MAX_MINUTIAE]
    values = np.array(kept, dtype=np.float64).reshape(-1, 3)
    return Points(values[:, :2] * (1.0, -1.0), values[:, 2])


def _best_first(template: Template) -> list[Minutia]:
    return sorted(template.minutiae, key=_quality, reverse=True)  # stable: ties keep their order


def _quality(minutia: Minutia) -> int:
    return minutia.quality


def wrapped(angle_rad: Floats) -> Floats:
    """The same angles in [-pi, pi), to a rounding."""
    return angle_rad - 2 * np.pi * np.floor((angle_rad + np.pi) / (2 * np.pi))  # `%` takes thrice
