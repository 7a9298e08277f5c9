import numpy as np
import pytest
from PIL import Image

from hil.calibrate import picture
from hil.calibrate.picture import Curve


def _curves() -> list[Curve]:
    rng = np.random.default_rng(0)
    return [
        Curve("virtual impostor", "impostor", 0, rng.normal(0.05, 0.01, 5000)),
        Curve("real genuine", "genuine", 1, rng.normal(0.25, 0.06, 400)),
    ]


def _coloured(image: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """The columns, left to right, where that colour is; the legend apart."""
    pixels = np.asarray(image)[picture.TOP_PX + 160 : picture.BOTTOM_PX - 2]
    return np.flatnonzero((pixels == colour).all(axis=2).any(axis=0))


def test_a_distribution_lies_where_its_scores_are() -> None:
    curves = _curves()
    image = picture.draw(curves, {"FMR 0.01": 0.08})
    assert image.size == picture.SIZE_PX
    impostor = _coloured(image, picture.COLOURS["impostor"][0])
    genuine = _coloured(image, picture.COLOURS["genuine"][1])
    top = float(curves[1].score.max()) * 1.02
    width = (picture.RIGHT_PX - picture.LEFT_PX) / picture.BINS
    assert impostor.max() == pytest.approx(picture._x(curves[0].score.max(), top), abs=width + 3)
    assert genuine.min() == pytest.approx(picture._x(curves[1].score.min(), top), abs=width + 3)


def test_a_mark_stands_at_its_score() -> None:
    curves = _curves()
    at = picture._x(0.15, float(curves[1].score.max()) * 1.02)
    bare, marked = (np.asarray(picture.draw(curves, marks)) for marks in ({}, {"here": 0.15}))
    changed = np.flatnonzero((bare != marked).any(axis=2).any(axis=0))
    assert changed.min() == pytest.approx(at, abs=2)


def test_a_tail_is_seen_beside_the_bulk() -> None:
    score = np.concatenate([np.full(99_999, 0.01), [0.5]])
    image = picture.draw([Curve("one in many", "impostor", 0, score)], {})
    assert _coloured(image, picture.COLOURS["impostor"][0]).max() > 0.9 * picture.RIGHT_PX
