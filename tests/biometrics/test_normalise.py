"""One resolution and one contrast, whatever the sensor's."""

import math

import numpy as np
import pytest

from sdbox_agent.biometrics import normalise, parameters

WAVE = 128 + 100 * np.cos(np.arange(300) * 2 * math.pi / 9)


def waves(height: int = 200) -> np.ndarray:
    return np.tile(WAVE, (height, 1))


def test_at_500_it_is_the_image_itself() -> None:
    pixels = waves().astype(np.uint8)
    assert (normalise.at_500(pixels, 500) == pixels).all()


@pytest.mark.parametrize("dpi", [250, 400, 569, 1000])
def test_ridges_come_to_their_period_at_500(dpi) -> None:
    x = np.arange(400) + 0.5
    period = 9 * dpi / 500
    pixels = np.tile(128 + 100 * np.cos(x * 2 * math.pi / period), (300, 1)).astype(np.uint8)
    found = normalise.at_500(pixels, dpi)
    assert found.shape == (int(300 * 500 / dpi), int(400 * 500 / dpi))
    there = 128 + 100 * np.cos((np.arange(found.shape[1]) + 0.5) * 2 * math.pi / 9)
    middle = slice(20, -20)
    assert np.corrcoef(found[found.shape[0] // 2, middle], there[middle])[0, 1] > 0.99


def test_a_coarser_grid_takes_the_mean_of_what_it_covers() -> None:
    checks = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(normalise.at_500(checks, 1000)[5:-5, 5:-5] - 127.5).max() < 1


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 20), (0.8, 0), (1.0, 20)])
def test_gain_and_brightness_hardly_matter(gain, offset) -> None:
    plain = normalise.contrast(waves().astype(np.float32)).astype(int)
    other = normalise.contrast((waves() * gain + offset).astype(np.float32)).astype(int)
    assert np.abs(plain - other).max() < 15


def test_contrast_is_brought_to_one_measure() -> None:
    found = normalise.contrast(waves().astype(np.float32))
    assert abs(found.mean() - 128) < 2
    assert abs(found.std() - parameters.SPREAD_GREY) < 5


def test_a_faint_grain_is_not_blown_up() -> None:
    grain = 200 + np.random.default_rng(1).normal(0, 3, (200, 300)).astype(np.float32)
    assert normalise.contrast(grain).std() < 10


def test_the_local_mean_is_that_of_the_square_around() -> None:
    values = np.random.default_rng(2).uniform(0, 255, (60, 70)).astype(np.float32)
    reach = parameters.CONTRAST_RADIUS_PX
    assert math.isclose(
        normalise._mean(values)[30, 35],
        values[30 - reach : 31 + reach, 35 - reach : 36 + reach].mean(),
        rel_tol=1e-4,
    )
    corner = np.pad(values, reach, mode="edge")[: 2 * reach + 1, : 2 * reach + 1]
    assert math.isclose(normalise._mean(values)[0, 0], corner.mean(), rel_tol=1e-4)
