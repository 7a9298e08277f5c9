"""The plot: where rates lie on it, and that marks are where the curve is."""

import io
import itertools

import numpy as np
import pytest

from sdbox_agent.biometrics.rates import Scores
from sdbox_agent.fingertool import det, paper

Image = pytest.importorskip("PIL.Image")
WORDS = det.Words("title", "x", "y", "few", "EER")


def scores(apart: float, count: int = 400) -> Scores:
    rng = np.random.default_rng(1)
    of = np.arange(count) % 10
    return Scores(
        rng.normal(apart, 1, count), of, rng.normal(0, 1, count), np.stack([of, of + 1], 1)
    )


def test_an_axis_runs_from_the_least_to_the_most_by_normal_deviates() -> None:
    assert det.deviate(det.LEAST) == det.deviate(0.0) == 0
    assert det.deviate(det.MOST) == det.deviate(1.0) == pytest.approx(1)
    # One deviate is as long anywhere: 2.275 % and 15.866 % lie at -2 and -1, 50 % at 0.
    assert det.deviate(0.158655) - det.deviate(0.022750) == pytest.approx(
        1 - det.deviate(0.158655), abs=1e-4
    )


def test_normal_scores_make_a_straight_line() -> None:
    """What the axes are for."""
    curve = np.array(det._curve(scores(2.0, 20_000)))
    inside = curve[
        (curve > det._at(0.02, 0.4)).all(axis=1) & (curve < det._at(0.4, 0.02)).all(axis=1)
    ]
    slope, level = np.polyfit(inside[:, 0], inside[:, 1], 1)
    assert slope == pytest.approx(1.0, abs=0.05)
    assert np.abs(inside[:, 1] - slope * inside[:, 0] - level).max() < 8


def test_the_curve_is_of_steps() -> None:
    curve = det._curve(scores(2.0, 50))
    for (x, y), (to_x, to_y) in itertools.pairwise(curve):
        assert x == to_x or y == to_y


@pytest.mark.parametrize("apart", [0.0, 2.0, 50.0])
def test_a_plot_is_drawn_whatever_the_scores(apart: float) -> None:
    data = det.draw(
        [
            ("all", scores(apart)),
            ("one", scores(apart)),
            ("two", scores(1.0)),
            ("three", scores(3)),
        ],
        {"FMR_X": 1.0},
        WORDS,
    )
    drawn = Image.open(io.BytesIO(data)).convert("RGB")
    colours = {colour for _, colour in drawn.getcolors(1 << 24)}
    assert {paper.BLUE, paper.RED, paper.GREEN, paper.PURPLE} <= colours


def test_a_threshold_is_marked_where_its_rates_lie() -> None:
    seen = scores(2.0)
    data = det.draw([("all", seen)], {"FMR_X": 1.0}, WORDS)
    drawn = Image.open(io.BytesIO(data)).convert("RGB")
    at = det._at(float((seen.impostor >= 1).mean()), float((seen.genuine < 1).mean()))
    assert drawn.getpixel((round(at[0]), round(at[1]))) == paper.BLACK


def test_percents_are_as_people_write_them() -> None:
    assert [det.percent(rate) for rate in (0, 1e-5, 0.05, 0.1234, 1)] == [
        "0 %", "0.001 %", "5 %", "12.34 %", "100 %",
    ]  # fmt: skip
