"""What one impression offers, as `finger extract` tells it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sdbox_agent.biometrics import quality, touch
from sdbox_agent.biometrics.comparison import prepare
from sdbox_agent.biometrics.minutia import MinutiaType
from sdbox_agent.errors import SdboxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.biometrics.minutia import Template
    from sdbox_agent.fingertool.files import Image


class Extracted(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and a judgement, no minutia; the codes are None where it is good enough."""

    minutiae: int
    endings: int
    bifurcations: int
    area_mm2: float
    certainty: float | None
    quality: int
    probe_code: str | None
    reference_code: str | None


def extracted(template: Template, image: Image | None = None) -> Extracted:
    """Judge it as a box would a probe, and a desk a reference; `image` None: it was a record.

    A box looks at the image first: of noise a detector makes minutiae enough.
    """
    measures = quality.measure(template, prepare(template))
    kinds = [minutia.type for minutia in template.minutiae]
    return Extracted(
        minutiae=len(kinds),
        endings=kinds.count(MinutiaType.ENDING),
        bifurcations=kinds.count(MinutiaType.BIFURCATION),
        area_mm2=measures.area_mm2,
        certainty=measures.mean_quality,
        quality=quality.quality(measures),
        probe_code=_no_finger(image) or _objection(quality.check_probe, measures),
        reference_code=_no_finger(image) or _objection(quality.check_reference, measures),
    )


def _objection(
    check: Callable[[quality.Measures], object], measures: quality.Measures
) -> str | None:
    try:
        check(measures)
    except SdboxError as error:
        return error.code
    return None


def _no_finger(image: Image | None) -> str | None:
    if image is None:
        return None
    try:
        touch.check(touch.measure(image.pixels, image.dpi))
    except SdboxError as error:
        return error.code
    return None
