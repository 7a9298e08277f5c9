"""A frame of this box's sensor becomes minutiae, or is told apart from what such a sensor gives.

Knows the sensor's kind and the detector; knows no comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.errors import AskAgain
from sdbox_agent.sensor import detect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.minutia import Template
    from sdbox_agent.sensorkind import SensorKind


def probe(pixels: NDArray[np.uint8], kind: SensorKind) -> Template:
    """Minutiae of `pixels` (height, width), as a sensor of `kind` took them, to compare with.

    Raises Fault("sensor-failed") for a size that such a sensor does not give, AskAgain
    ("finger-poor") for fewer minutiae than the kind asks for.
    """
    height, width = pixels.shape
    kind.check_size(width, height)
    template = detect.extract(pixels, kind.dpi)
    if len(template.minutiae) < kind.min_minutiae:
        raise AskAgain("finger-poor")
    return template


def impression(pixels: NDArray[np.uint8], kind: SensorKind) -> Template:
    """The same, to be enrolled. Raises Refused("sensor-unfit") too, whatever the image."""
    kind.check_enrols()
    return probe(pixels, kind)
