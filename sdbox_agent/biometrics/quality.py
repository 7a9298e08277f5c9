"""Is a template good enough: a probe to spend an attempt on, a reference to stand four years.

Looks at the number of minutiae, the area they cover and how sure the detector was of them. Knows
nothing of images or sensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sdbox_agent.biometrics import hull
from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.minutia import MM_PER_PX
from sdbox_agent.errors import AskAgain, Refused

if TYPE_CHECKING:
    from sdbox_agent.biometrics.comparison import Prepared
    from sdbox_agent.biometrics.minutia import Template


@dataclass(frozen=True, slots=True)
class Measures:
    """What a template offers a comparison."""

    minutiae: int
    cylinders: int
    area_mm2: float
    mean_quality: float | None  # 1..100; None: the detector does not say


def measure(template: Template, prepared: Prepared) -> Measures:
    """Count, area of the convex hull, mean quality of the minutiae whose quality is known."""
    known = [m.quality for m in template.minutiae if m.quality]
    xy = prepared.points.xy_px
    area_px2 = hull.area(prepared.points.hull_px)
    return Measures(
        len(xy),
        len(prepared.cylinders.index),
        area_px2 * MM_PER_PX**2,
        float(np.mean(known)) if known else None,
    )


def quality(measures: Measures) -> int:
    """0..100: the least of what count, area and certainty allow (ours; not NFIQ)."""
    certainty = 1.0 if measures.mean_quality is None else measures.mean_quality / p.GOOD_QUALITY
    share = min(
        measures.minutiae / p.GOOD_MINUTIAE, measures.area_mm2 / p.GOOD_AREA_MM2, certainty, 1.0
    )
    return round(100 * share)


def check_probe(measures: Measures) -> int:
    """The probe's quality. Raises AskAgain, by what the person can do, if no attempt is due."""
    if measures.area_mm2 < p.MIN_PROBE_AREA_MM2 and measures.minutiae >= p.FEW_MINUTIAE:
        raise AskAgain("centre-finger")
    if measures.mean_quality is not None and measures.mean_quality < p.MIN_PROBE_QUALITY:
        raise AskAgain("press-harder")
    if not _enough(measures) or measures.area_mm2 < p.MIN_PROBE_AREA_MM2:
        raise AskAgain("finger-poor")
    return quality(measures)


def check_reference(measures: Measures) -> None:
    """Raise Refused("reference-poor") for a view that no probe could honestly match."""
    if not _enough(measures) or measures.area_mm2 < p.MIN_REFERENCE_AREA_MM2:
        raise Refused("reference-poor")


def _enough(measures: Measures) -> bool:
    return measures.minutiae >= p.MIN_MINUTIAE and measures.cylinders >= p.MIN_CYLINDERS
