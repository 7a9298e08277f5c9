"""Minutiae and templates, in one frame for the whole project.

Frame (that of ISO/IEC 19794-2:2005 section 6.4): origin at the image's top left, x to the right,
y down, in pixels at 500 per inch whatever the sensor had. Angles are radians in [0, 2 pi),
counter-clockwise as seen, from the x axis. Knows no file format and no library; a repr shows how
many minutiae there are, never where.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

PPI: Final = 500  # pixels per inch of every template
MM_PER_INCH: Final = 25.4
MM_PER_PX: Final = MM_PER_INCH / PPI  # of every template
FULL_TURN_RAD: Final = 2 * math.pi


@enum.unique
class MinutiaType(enum.IntEnum):
    """ISO/IEC 19794-2:2005 section 7.5.2, table 4."""

    OTHER = 0
    ENDING = 1
    BIFURCATION = 2


@dataclass(frozen=True, slots=True, repr=False)
class Minutia:
    """One minutia: place, direction, type, and quality 1..100 (0: not known)."""

    x_px: float
    y_px: float
    angle_rad: float
    type: MinutiaType = MinutiaType.OTHER
    quality: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for a number no finger has: whatever comes later may rely on it."""
        if not (math.isfinite(self.x_px) and math.isfinite(self.y_px)):
            raise ValueError("position is not finite")
        if not (abs(self.x_px) <= MAX_COORDINATE_PX and abs(self.y_px) <= MAX_COORDINATE_PX):
            raise ValueError("position out of range")
        if not 0 <= self.angle_rad < FULL_TURN_RAD:
            raise ValueError("angle out of range")
        if not 0 <= self.quality <= 100:
            raise ValueError("quality out of range")

    @override
    def __repr__(self) -> str:
        return "<Minutia>"


@dataclass(frozen=True, slots=True, repr=False)
class Template:
    """One impression of one finger: its minutiae.

    `second`: the same impression's as another extractor found them; empty where none looked.
    """

    minutiae: tuple[Minutia, ...]
    second: tuple[Minutia, ...] = ()

    @override
    def __repr__(self) -> str:
        return f"<Template of {len(self.minutiae)}>"


# -- ours ----------------------------------------------------------------------------------------

MAX_COORDINATE_PX: Final = 100_000.0  # 14 bits at 99 px/cm, brought to 500 ppi, is 32,600


def turned(angle_rad: float) -> float:
    """The same direction in [0, 2 pi)."""
    turned_rad = angle_rad % FULL_TURN_RAD
    return 0.0 if turned_rad >= FULL_TURN_RAD else turned_rad  # -1e-17 % x is x in floats
