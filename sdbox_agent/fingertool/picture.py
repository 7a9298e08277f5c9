"""Two fingers side by side, and what a comparison found in both; for people. Drawn by Paper.

Knows no language: every word comes in `Caption`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sdbox_agent.biometrics.minutia import MM_PER_INCH, MM_PER_PX
from sdbox_agent.fingertool import paper
from sdbox_agent.fingertool.paper import Paper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sdbox_agent.biometrics.comparison import Prepared
    from sdbox_agent.biometrics.points import Floats
    from sdbox_agent.fingertool.files import Image
    from sdbox_agent.fingertool.pairing import Pairing
    from sdbox_agent.fingertool.paper import Colour, Place

PANEL: Final = (620, 640)  # the most that a finger gets, in pixels
GAP, MARGIN, HEAD, LINE = 90, 34, 124, 30
_BARE_MM: Final = 1.5  # paper round minutiae that come without an image
_FADED: Final = 0.45  # of an image's darkness left: what is drawn on it must be seen
_TICK_MM: Final = 0.75
_FULL, _OPEN = 8.0, 5.0  # radii, in pixels: a number fits in the first
PAIRS: Final = (paper.BLUE, paper.RED, paper.GREEN, paper.PURPLE, paper.ORANGE, paper.SKY)


@dataclass(frozen=True, slots=True)
class Caption:
    """The words."""

    verdict: str
    matches: bool
    because: str
    left: str
    right: str
    paired: str
    alone: str
    common: str
    tick: str


@dataclass(frozen=True, slots=True)
class _Panel:
    """Where a finger lies on the sheet: its top left corner there, and in the finger's pixels."""

    corner: Place
    start_px: Place
    size_mm: Place
    scale: float  # sheet pixels a millimetre

    def at(self, xy_px: Iterable[float]) -> Place:
        x, y = xy_px
        return (
            self.corner[0] + (x - self.start_px[0]) * MM_PER_PX * self.scale,
            self.corner[1] + (y - self.start_px[1]) * MM_PER_PX * self.scale,
        )

    @property
    def size(self) -> Place:
        return self.size_mm[0] * self.scale, self.size_mm[1] * self.scale


def draw(
    probe: tuple[Prepared, Image | None],
    reference: tuple[Prepared, Image | None],
    found: Pairing | None,
    caption: Caption,
) -> bytes:
    """A PNG: the probe on the left, the reference on the right, to one scale."""
    extents = [_extent(*finger) for finger in (probe, reference)]
    scale = min(PANEL[0] / max(e[1][0] for e in extents), PANEL[1] / max(e[1][1] for e in extents))
    left = _Panel((MARGIN, HEAD), *extents[0], scale)
    right = _Panel((MARGIN + left.size[0] + GAP, HEAD), *extents[1], scale)
    width = round(right.corner[0] + right.size[0] + MARGIN)
    foot = HEAD + max(left.size[1], right.size[1]) + 20
    sheet = Paper(max(width, 900), round(foot + 2 * LINE + MARGIN))
    _head(sheet, caption, (left, right))
    for panel, (_, image) in ((left, probe), (right, reference)):
        _ground(sheet, panel, image)
    if found:
        for panel, area in ((left, found.probe_area), (right, found.reference_area)):
            _common(sheet, panel, area)
    _minutiae(sheet, (left, probe[0]), (right, reference[0]), found)
    _legend(sheet, caption, foot)
    return sheet.png()


def _extent(prepared: Prepared, image: Image | None) -> tuple[Place, Place]:
    """Top left corner in the finger's pixels, and size in mm."""
    if image is not None:
        height, width = image.pixels.shape
        return (0.0, 0.0), (width * MM_PER_INCH / image.dpi, height * MM_PER_INCH / image.dpi)
    xy = prepared.points.xy_px * (1, -1) if len(prepared.points) else np.zeros((1, 2))
    bare = _BARE_MM / MM_PER_PX
    low, high = xy.min(axis=0) - bare, xy.max(axis=0) + bare
    size = (high - low) * MM_PER_PX
    return (float(low[0]), float(low[1])), (float(size[0]), float(size[1]))


def _head(sheet: Paper, caption: Caption, panels: tuple[_Panel, _Panel]) -> None:
    colour = paper.GREEN if caption.matches else paper.RED
    sheet.words(caption.verdict, (MARGIN, 22), colour, 28)
    sheet.words(caption.because, (MARGIN, 62), paper.BLACK, 17)
    for panel, name in zip(panels, (caption.left, caption.right), strict=True):
        sheet.words(name, (panel.corner[0], HEAD - 24), paper.GREY, 15)


def _ground(sheet: Paper, panel: _Panel, image: Image | None) -> None:
    if image is not None:
        faded = 255 - (255 - image.pixels.astype(np.float64)) * _FADED
        sheet.picture(np.asarray(np.rint(faded), dtype=np.uint8), panel.corner, panel.size)
    (x, y), (w, h) = panel.corner, panel.size
    sheet.line([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)], paper.PALE, 1)


def _common(sheet: Paper, panel: _Panel, area_px: Floats) -> None:
    corners = [panel.at(corner) for corner in area_px]
    if len(corners) > 2:
        sheet.area(corners, paper.SKY, 0.10)
        sheet.line([*corners, corners[0], corners[1]], paper.SKY, 2)


def _minutiae(
    sheet: Paper, left: tuple[_Panel, Prepared], right: tuple[_Panel, Prepared],
    found: Pairing | None,
) -> None:  # fmt: skip
    numbered = list(enumerate(found.pairs, 1)) if found else []
    numbered.sort(key=lambda one: one[1].reference_px[1])  # neighbours of different colours
    met = ({pair.probe for _, pair in numbered}, {pair.reference for _, pair in numbered})
    for (panel, prepared), those in zip((left, right), met, strict=True):
        for place, (x, y) in enumerate(prepared.points.xy_px):
            if place + 1 not in those:
                angle = float(prepared.points.angle_rad[place])
                _minutia(sheet, panel, (x, -y), angle, paper.GREY)
    colours = [PAIRS[k % len(PAIRS)] for k in range(len(numbered))]
    for (_, pair), colour in zip(numbered, colours, strict=True):
        ends = [left[0].at(pair.probe_px), right[0].at(pair.reference_px)]
        sheet.line(ends, colour, 0.5 + 1.2 * pair.weight)
    for (row, pair), colour in zip(numbered, colours, strict=True):
        ends_of = ((left, pair.probe, pair.probe_px), (right, pair.reference, pair.reference_px))
        for (panel, prepared), number, place_px in ends_of:
            angle = float(prepared.points.angle_rad[number - 1])
            _minutia(sheet, panel, place_px, angle, colour, full=True)
            sheet.words(str(row), panel.at(place_px), paper.WHITE, 10, anchor="mm")


def _minutia(
    sheet: Paper, panel: _Panel, place_px: Place, angle_rad: float, colour: Colour, *,
    full: bool = False,
) -> None:  # fmt: skip
    x, y = panel.at(place_px)
    tick, radius = _TICK_MM * panel.scale, _FULL if full else _OPEN
    end = x + tick * math.cos(angle_rad), y - tick * math.sin(angle_rad)
    sheet.line([(x, y), end], colour, 3 if full else 1.5)
    sheet.ring((x, y), radius, colour, 1.5, full=full)


def _legend(sheet: Paper, caption: Caption, top: float) -> None:
    x, y = float(MARGIN), top + LINE / 2
    for colour, full, text in (
        (PAIRS[0], True, caption.paired),
        (paper.GREY, False, caption.alone),
    ):
        sheet.line([(x + 8, y), (x + 30, y)], colour, 3 if full else 1.5)
        sheet.ring((x + 8, y), _FULL if full else _OPEN, colour, 1.5, full=full)
        x += 42 + sheet.words(text, (x + 40, y), size=15, anchor="lm") + 30
    x, y = float(MARGIN), y + LINE
    box = [(x, y - 9), (x + 30, y - 9), (x + 30, y + 9), (x, y + 9)]
    sheet.area(box, paper.SKY, 0.10)
    sheet.line([*box, box[0], box[1]], paper.SKY, 2)
    x += 42 + sheet.words(caption.common, (x + 40, y), size=15, anchor="lm") + 30
    sheet.words(caption.tick, (x, y), paper.GREY, 15, anchor="lm")
