"""How a finger was laid, seen in the image alone: where, how hard, how wet; or that there is none.

Asked before anything is looked for in the image, and when no match was found: it names a cause that
the person can mend. What of a print is worth comparing, `quality` says by its minutiae.

The image is cut into cells of about two ridges. A cell has ridges where its brightness changes, in
one direction, as often as ridges do. Dark and light are those of this print's own ridges and
valleys, so a sensor's gain and gamma matter little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sdbox_agent.biometrics.minutia import MM_PER_INCH
from sdbox_agent.errors import AskAgain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Cells = NDArray[np.bool_]

# -- ours ----------------------------------------------------------------------------------------

CELL_MM: Final = 0.8

# What a cell with ridges is. Ridges of period P give (2 pi / P)^2 of squared slope to variance:
# 0.05..1.2 at 500 ppi is a period of 28 to 6 px; white noise has 1 but no direction.
MIN_COHERENCE: Final = 0.3  # of the direction, over 3 x 3 cells: 1 is one direction, 0 is all
MIN_DEVIATION: Final = 6.0  # grey levels
MIN_DEVIATION_SHARE: Final = 0.08  # of the image's own range
RANGE_PERCENT: Final = (2, 98)
SLOPES_500: Final = (0.05, 1.2)
LEVELS_PERCENT: Final = (5, 95)  # ridge and valley, among the pixels of cells with ridges
MERGED_SHARE: Final = 0.85  # dark pixels of a cell whose ridges have run together

# What spoils a print. Measured on 480 real prints of six sensors by how often two prints of one
# finger then fail to match: 8 % where none of these holds, 54 % wet, 45 % small, 38 % broken.
NO_FINGER_MM2: Final = 10.0  # with ridges; the least of the 480 has 12
NO_FINGER_ONE_WAY: Final = 0.95  # a straight edge, stripes; the most of the 480 has 0.66
SMALL_MM2: Final = 90.0
SMALL_SHARE: Final = 0.6  # of the image: a small sensor is no fault of the finger
OFF_CENTRE: Final = 0.1  # of the image's side
WET_DARK: Final = 0.6  # share of the print that is dark
WET_MERGED: Final = 0.25  # share of the print's cells that are merged
ONE_WAY: Final = 0.65  # a finger dragged by 1 mm keeps the ridges of one direction: 0.71 and more
BROKEN: Final = 0.3  # share of the cells with contrast that have no direction
# Thin and broken ridges spoil nothing (7 % fail): they are named when something else has failed.
DRY_DARK: Final = 0.3
DRY_COHERENCE: Final = 0.7


@dataclass(frozen=True, slots=True)
class Touch:
    """What was measured. The numbers are 0 where there are no ridges."""

    image_mm2: float
    ridges_mm2: float  # cells with ridges
    print_mm2: float  # these, and merged ones
    offset: float  # of the print's middle from the image's, as a share of the side
    dark: float  # share of the print darker than between ridge and valley
    merged: float
    broken: float
    coherence: float  # of the direction, mean over the cells with ridges
    one_way: float  # how much one direction prevails in the whole print: 0 not at all, 1 alone


def measure(pixels: NDArray[np.uint8], dpi: float) -> Touch:
    """Measure an image (height, width), ridges dark; about 3 ms for 388 x 374 pixels."""
    side = max(4, round(CELL_MM * dpi / MM_PER_INCH))
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    cell_mm2 = (side * MM_PER_INCH / dpi) ** 2
    nothing = Touch(rows * columns * cell_mm2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if not rows * columns:
        return nothing
    image = pixels[: rows * side, : columns * side].astype(np.float32)
    mean, deviation = _brightness(image, side)
    slopes = _slopes(image, side)
    coherence, as_often = _direction(slopes, deviation, dpi)
    low, high = np.percentile(image[::3, ::3], RANGE_PERCENT)
    busy = deviation > max(MIN_DEVIATION, MIN_DEVIATION_SHARE * (high - low))
    ridges = busy & (coherence > MIN_COHERENCE) & as_often
    count = int(ridges.sum())
    if not count:
        return nothing
    between = _between(image, ridges, side)
    dark = _by_cell((image < between).astype(np.float32), side)
    merged = (dark > MERGED_SHARE) & (mean < between) & ~ridges
    whole = ridges | merged
    return Touch(
        image_mm2=nothing.image_mm2,
        ridges_mm2=count * cell_mm2,
        print_mm2=int(whole.sum()) * cell_mm2,
        offset=_offset(whole),
        dark=float(dark[whole].mean()),
        merged=float(merged.sum() / whole.sum()),
        broken=float((busy & ~whole).sum() / (busy | whole).sum()),
        coherence=float(coherence[ridges].mean()),
        one_way=_one_way(slopes, busy),
    )


def check(touch: Touch) -> None:
    """Raise AskAgain("finger-poor") where no finger is: glass, noise, an edge."""
    if touch.ridges_mm2 < NO_FINGER_MM2 or touch.one_way > NO_FINGER_ONE_WAY:
        raise AskAgain("finger-poor")


def spoilt(touch: Touch) -> str | None:
    """What makes this touch likely to fail (an AskAgain code), if anything does."""
    if touch.print_mm2 < min(SMALL_MM2, SMALL_SHARE * touch.image_mm2):
        return "centre-finger" if touch.offset > OFF_CENTRE else "press-harder"
    if touch.one_way > ONE_WAY:
        return "lift-and-place"
    if touch.dark > WET_DARK or touch.merged > WET_MERGED:
        return "finger-wet"
    return "finger-poor" if touch.broken > BROKEN and touch.dark >= DRY_DARK else None


def cause(touch: Touch) -> str | None:
    """The likeliest cause (an AskAgain code) where a touch has failed, if one can be seen."""
    named = spoilt(touch)
    if named is None and touch.dark < DRY_DARK and touch.coherence < DRY_COHERENCE:
        return "finger-dry"
    return named


def _by_cell(values: Floats, side: int) -> Floats:
    """Mean over each cell."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    lines = np.add.reduce(values.reshape(rows, side, columns * side), axis=1)
    return np.asarray(
        np.add.reduce(lines.reshape(rows, columns, side), axis=2) / side**2, np.float32
    )


def _smooth(cells: Floats) -> Floats:
    """Mean over 3 x 3 cells."""
    padded = np.pad(cells, 1, mode="edge")
    lines = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray((lines[:, :-2] + lines[:, 1:-1] + lines[:, 2:]) / 9, np.float32)


def _brightness(image: Floats, side: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each cell."""
    mean = _by_cell(image, side)
    variance = _by_cell(image * image, side) - mean * mean
    return mean, np.sqrt(np.maximum(variance, 0))


def _slopes(image: Floats, side: int) -> Floats:
    """Of each cell, the mean of the squared slopes along x, along y, and of their product."""
    across, down = np.zeros_like(image), np.zeros_like(image)
    across[:, 1:-1] = (image[:, 2:] - image[:, :-2]) / 2
    down[1:-1] = (image[2:] - image[:-2]) / 2
    products = (across * across, down * down, across * down)
    return np.stack([_by_cell(product, side) for product in products])


def _direction(slopes: Floats, deviation: Floats, dpi: float) -> tuple[Floats, Cells]:
    """How much one direction prevails around each cell; whether ridges could change as often.

    The coherence of Bazen, Gerez, "Systematic Methods for the Computation of the Directional
    Fields and Singular Points of Fingerprints", IEEE TPAMI 24(7), 2002.
    """
    xx, yy, xy = (_smooth(each) for each in slopes)
    often = (xx + yy) / (_smooth(deviation * deviation) + 1) * (dpi / 500) ** 2
    coherence = np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-3)
    return coherence, (often > SLOPES_500[0]) & (often < SLOPES_500[1])


def _one_way(slopes: Floats, busy: Cells) -> float:
    """The coherence of the whole print at once."""
    xx, yy, xy = (float(each[busy].sum()) for each in slopes)
    return math.hypot(xx - yy, 2 * xy) / (xx + yy)


def _between(image: Floats, ridges: Cells, side: int) -> float:
    """The grey level half-way between this print's ridges and its valleys."""
    rows, columns = ridges.shape
    cells = image.reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
    inside = cells[ridges][:, ::2, ::2]
    low, high = np.percentile(inside, LEVELS_PERCENT)
    return float(low + high) / 2


def _offset(whole: Cells) -> float:
    """How far the print's middle lies from the image's, the worse of the two axes."""
    row, column = (
        (float(places.mean()) + 0.5) / side - 0.5
        for places, side in zip(np.nonzero(whole), whole.shape, strict=True)
    )
    return max(math.fabs(row), math.fabs(column))
