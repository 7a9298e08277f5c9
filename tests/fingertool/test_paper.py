"""The sheet: what is drawn is where it was meant, and words come with any font."""

import io

import numpy as np
import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.fingertool import files, paper
from sdbox_agent.fingertool.paper import Paper

Image = pytest.importorskip("PIL.Image")


def pixels(sheet: Paper) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(sheet.png())).convert("RGB"))


def test_lines_discs_rings_areas_and_pictures_are_where_they_belong() -> None:
    sheet = Paper(200, 100)
    sheet.line([(10, 10), (50, 10)], paper.BLUE, 3)
    sheet.ring((100, 50), 10, paper.RED, full=True)
    sheet.ring((150, 50), 10, paper.GREEN)
    sheet.area([(10, 60), (40, 60), (40, 90), (10, 90)], paper.BLACK, 1.0)
    sheet.area([(0, 0), (199, 99)], paper.BLACK, 1.0)  # no area: nothing
    sheet.picture(np.full((5, 5), 77, dtype=np.uint8), (60, 60), (20, 20))
    found = pixels(sheet)
    assert found.shape == (100, 200, 3)
    for (x, y), colour in {
        (30, 10): paper.BLUE,
        (100, 50): paper.RED,
        (150, 50): paper.WHITE,
        (140, 50): paper.GREEN,
        (25, 75): paper.BLACK,
        (70, 70): (77, 77, 77),
        (5, 30): paper.WHITE,
    }.items():
        assert tuple(found[y, x]) == colour, (x, y)


def test_words_are_as_long_as_said_and_upright_ones_stand() -> None:
    sheet = Paper(300, 200)
    long = sheet.words("minuties", (10, 10), size=20)
    dark = np.argwhere(pixels(sheet).max(axis=2) < 128)
    assert 0.8 * long <= np.ptp(dark[:, 1]) <= long
    sheet = Paper(300, 200)
    sheet.upright("minuties", (150, 100), 20)
    dark = np.argwhere(pixels(sheet).max(axis=2) < 128)
    assert np.ptp(dark[:, 0]) > 2 * np.ptp(dark[:, 1])
    assert dark.mean(axis=0) == pytest.approx((100, 150), abs=8)


def test_where_no_font_has_accents_words_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "_FONTS", ())
    texts = ("cr\u00eate d\u2019\u00e9t\u00e9 \u00b7 2", "crete d'ete - 2")
    drawn = []
    for text in texts:
        sheet = Paper(200, 40)
        sheet.words(text, (5, 5))
        drawn.append(sheet.png())
    assert drawn[0] == drawn[1]


def test_without_pillow_there_is_no_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise Fault("pillow-missing")

    monkeypatch.setattr(paper, "pillow", missing)
    with pytest.raises(Fault, match="pillow-missing"):
        Paper(10, 10)
    assert files.pillow("Image") is Image
