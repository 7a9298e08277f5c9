"""A detection error trade-off plot: FNMR over FMR on normal deviates, as a PNG. Drawn by Paper.

Martin, Doddington, Kamm, Ordowski, Przybocki, "The DET curve in assessment of detection task
performance", Eurospeech 1997; ISO/IEC 19795-1. Knows no language: words come in `Words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from sdbox_agent.biometrics import rates
from sdbox_agent.fingertool import paper
from sdbox_agent.fingertool.paper import Paper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sdbox_agent.biometrics.rates import Scores
    from sdbox_agent.fingertool.paper import Colour, Place

LEAST, MOST = 1e-5, 0.5  # of both axes; a rate below the first is drawn on the edge
TICKS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
MARKS: Final = (1e-2, 1e-3, 1e-4)  # FMR100, FMR1000, FMR10000
_LEFT, _TOP, _SIDE, _RIGHT, _BELOW = 100, 80, 620, 40, 90
_LATE: Final = 0.1
_HIGH: Final = 80  # px below the top: where no threshold of any use has its label
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Words:
    """The words; `too_few` says what lies left of the pale border."""

    title: str
    fmr: str
    fnmr: str
    too_few: str
    eer: str


def draw(curves: Sequence[tuple[str, Scores]], marks: Mapping[str, float], words: Words) -> bytes:
    """A PNG. The first curve is the heavy one: of it the marks are drawn, and `marks` (scores)."""
    sheet = Paper(_LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BELOW + 26 * _rows(curves))
    sheet.words(words.title, (_LEFT, 22), size=24)
    _grid(sheet, words)
    _too_few(sheet, curves[0][1], words)
    colours = _colours(curves)
    for (_, scores), colour in reversed(list(zip(curves, colours, strict=True))):
        heavy = scores is curves[0][1]
        sheet.line(_curve(scores), colour, 3 if heavy else 1.2)
    _marks(sheet, curves[0][1], marks, words)
    for place, ((name, _), colour) in enumerate(zip(curves, colours, strict=True)):
        x = _LEFT + (place % 3) * 220
        y = _TOP + _SIDE + _BELOW + 26 * (place // 3)
        sheet.line([(x, y), (x + 26, y)], colour, 3 if place == 0 else 1.2)
        sheet.words(name, (x + 34, y), size=14, anchor="lm")
    return sheet.png()


def deviate(rate: float) -> float:
    """Where a rate lies on an axis: 0 at LEAST, 1 at MOST."""
    low, high = _NORMAL.inv_cdf(LEAST), _NORMAL.inv_cdf(MOST)
    return (_NORMAL.inv_cdf(min(max(rate, LEAST), MOST)) - low) / (high - low)


def percent(rate: float) -> str:
    """As people write it."""
    return f"{100 * rate:.10f}".rstrip("0").rstrip(".") + " %"


def _at(fmr: float, fnmr: float) -> Place:
    return _LEFT + _SIDE * deviate(fmr), _TOP + _SIDE * (1 - deviate(fnmr))


def _rows(curves: Sequence[tuple[str, Scores]]) -> int:
    return (len(curves) + 2) // 3


def _colours(curves: Sequence[tuple[str, Scores]]) -> list[Colour]:
    thin = (paper.RED, paper.GREEN, paper.PURPLE, paper.ORANGE, paper.SKY, paper.GREY)
    return [paper.BLUE, *(thin[k % len(thin)] for k in range(len(curves) - 1))]


def _curve(scores: Scores) -> list[Place]:
    """The steps: between two scores nothing changes, so nothing is drawn as if it did."""
    _, fmr, fnmr = rates.fmr_fnmr(scores.genuine, scores.impostor)
    places: list[Place] = []
    for x, y in zip(fmr, fnmr, strict=True):
        at = _at(float(x), float(y))
        if places and at[0] != places[-1][0] and at[1] != places[-1][1]:
            places.append((places[-1][0], at[1]))
        if not places or at != places[-1]:
            places.append(at)
    return places


def _grid(sheet: Paper, words: Words) -> None:
    for rate in TICKS:
        x, y = _at(rate, rate)
        sheet.line([(x, _TOP), (x, _TOP + _SIDE)], paper.PALE, 1)
        sheet.line([(_LEFT, y), (_LEFT + _SIDE, y)], paper.PALE, 1)
        sheet.words(percent(rate), (x, _TOP + _SIDE + 8), size=12, anchor="ma")
        sheet.words(percent(rate), (_LEFT - 8, y), size=12, anchor="rm")
    sheet.line([_at(LEAST, LEAST), _at(MOST, MOST)], paper.PALE, 1)
    sheet.words(words.fmr, (_LEFT + _SIDE / 2, _TOP + _SIDE + 36), size=15, anchor="ma")
    sheet.upright(words.fnmr, (24, _TOP + _SIDE / 2), 15)


def _too_few(sheet: Paper, scores: Scores, words: Words) -> None:
    """Left of one impostor there is nothing to count."""
    one = max(1 / len(scores.impostor), LEAST)
    (x, bottom), top = _at(one, LEAST), _TOP
    sheet.area([(_LEFT, top), (x, top), (x, bottom), (_LEFT, bottom)], paper.GREY, 0.12)
    if x - _LEFT > 30:
        sheet.upright(words.too_few, (_LEFT + 14, top + _HIGH), 12)


def _marks(sheet: Paper, scores: Scores, marks: Mapping[str, float], words: Words) -> None:
    both = scores.genuine, scores.impostor
    equal = rates.eer(*both)
    points = [(f"{words.eer} {percent(round(equal, 4))}", (equal, equal), paper.BLUE)]
    for fmr in MARKS:
        if fmr * len(scores.impostor) >= 1:
            fnmr = rates.fnmr_at(fmr, *both).fnmr
            text = f"FMR{round(1 / fmr)} {percent(round(fnmr, 4))}"
            points.append((text, (fmr, fnmr), paper.BLUE))
    for name, threshold in marks.items():
        at = float((both[1] >= threshold).mean()), float((both[0] < threshold).mean())
        points.append((f"{name} ({threshold:g}): {percent(round(at[1], 4))}", at, paper.BLACK))
    taken: list[Place] = []
    for text, (fmr, fnmr), colour in points:
        at = _at(fmr, fnmr)
        sheet.ring(at, 6, colour, 2, full=colour is paper.BLACK)
        left = fmr > _LATE  # no room to its right
        label = (at[0] - 12, at[1] + 14) if left else (at[0] + 12, at[1] - 12)
        while any(abs(label[0] - x) < 300 and abs(label[1] - y) < 16 for x, y in taken):
            label = label[0], label[1] - 17
        taken.append(label)
        sheet.words(text, label, colour, 13, anchor="rm" if left else "lm")
