"""The score distributions of several kinds of people in one picture.

Knows numbers and labels only. Shares are drawn on a logarithmic axis: the tails decide.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIZE_PX = (1100, 680)
LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX = 90, 50, 1080, 600
BINS = 90
FLOOR = 1e-6  # the least share shown
COLOURS = {
    "impostor": ((176, 32, 32), (232, 150, 120)),
    "genuine": ((20, 90, 170), (120, 180, 225)),
}
INK, GRID = (40, 40, 40), (225, 225, 225)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """`role` impostor or genuine; `order` 0 for the first kind (thick), 1 for the second."""

    label: str
    role: str
    order: int
    score: NDArray[np.float64]


def draw(curves: list[Curve], marks: dict[str, float]) -> Image.Image:
    """RGB; `marks` are scores with a label, drawn upright."""
    top = max([float(curve.score.max()) for curve in curves] + list(marks.values())) * 1.02
    image = Image.new("RGB", SIZE_PX, "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(15)
    _axes(pen, font, top)
    for line, (label, score) in enumerate(marks.items()):
        x = _x(score, top)
        pen.line((x, TOP_PX, x, BOTTOM_PX), fill=INK, width=1)
        pen.text((x + 4, TOP_PX + 4 + 18 * line), label, fill=INK, font=font)
    for curve in curves:
        colour = COLOURS[curve.role][curve.order]
        share, edges = np.histogram(curve.score, bins=BINS, range=(0, top))
        for k in np.flatnonzero(share):
            y = _y(share[k] / len(curve.score))
            ends = (_x(edges[k], top), y, _x(edges[k + 1], top), y)
            pen.line(ends, fill=colour, width=3)
            if k and share[k - 1]:
                pen.line((ends[0], _y(share[k - 1] / len(curve.score)), ends[0], y), fill=colour)
    _legend(pen, font, curves)
    return image


def _legend(pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont, curves: list[Curve]) -> None:
    left, bottom = RIGHT_PX - 340, TOP_PX + 12 + 22 * len(curves)
    pen.rectangle((left, TOP_PX + 1, RIGHT_PX - 1, bottom), fill="white")
    for line, curve in enumerate(curves):
        y = TOP_PX + 8 + 22 * line
        colour = COLOURS[curve.role][curve.order]
        pen.line((left + 10, y + 9, left + 40, y + 9), fill=colour, width=3)
        pen.text((left + 48, y), curve.label, fill=INK, font=font)


def _axes(pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont, top: float) -> None:
    for power in range(round(np.log10(FLOOR)), 1):
        y = _y(10.0**power)
        pen.line((LEFT_PX, y, RIGHT_PX, y), fill=GRID)
        pen.text((LEFT_PX - 12, y), f"1e{power}", fill=INK, font=font, anchor="rm")
    step = 0.05 if top <= 0.6 else 0.1
    for score in np.arange(0, top, step):
        x = _x(float(score), top)
        pen.line((x, TOP_PX, x, BOTTOM_PX), fill=GRID)
        pen.text((x, BOTTOM_PX + 8), f"{score:.2f}", fill=INK, font=font, anchor="ma")
    pen.rectangle((LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX), outline=INK)
    middle = (LEFT_PX + RIGHT_PX) / 2
    pen.text((middle, BOTTOM_PX + 40), "score of a decision", fill=INK, font=font, anchor="ma")
    title = f"share of decisions in each {top / BINS:.4f} of score"
    pen.text((LEFT_PX, TOP_PX - 12), title, fill=INK, font=font, anchor="ls")


def _x(score: float, top: float) -> float:
    return float(LEFT_PX + (RIGHT_PX - LEFT_PX) * score / top)


def _y(share: float) -> float:
    low = np.log10(FLOOR)
    return float(BOTTOM_PX - (BOTTOM_PX - TOP_PX) * (np.log10(max(share, FLOOR)) - low) / -low)
