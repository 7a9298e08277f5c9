"""Ridges made plain: waves kept in their place and to one contrast, everything else level."""

import numpy as np
import pytest

from sdbox_agent.biometrics import ridges

SIDE = 192
MIDDLE = (slice(48, 144), slice(48, 144))


def waves(degrees: float = 30, period: float = 9, contrast: float = 60) -> np.ndarray:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
    return np.asarray(128 + contrast * np.cos(2 * np.pi * along / period), np.float32)


def alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a[MIDDLE].ravel(), b[MIDDLE].ravel())[0, 1])


@pytest.mark.parametrize("degrees", range(0, 180, 15))
@pytest.mark.parametrize("period", [6, 9, 13])
def test_a_wave_of_any_direction_stays_where_it_was(degrees, period) -> None:
    image = waves(degrees, period)
    assert alike(ridges.enhanced(image), image) > 0.9


@pytest.mark.parametrize(("gain", "level"), [(0.5, 20), (1.5, -20), (1, 60)])
def test_contrast_and_brightness_make_no_difference(gain, level) -> None:
    image = waves()
    other = ridges.enhanced((image - 128) * gain + 128 + level)
    assert np.abs(other.astype(float) - ridges.enhanced(image))[MIDDLE].mean() < 3


def test_ridges_come_out_of_noise() -> None:
    image = waves()
    noisy = image + np.random.default_rng(1).normal(0, 60, image.shape).astype(np.float32)
    assert alike(ridges.enhanced(noisy), image) > 0.85 > 0.7 > alike(noisy, image)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_where_nothing_is_nothing_appears(grey) -> None:
    level = np.full((SIDE, SIDE + 5), grey, np.float32)
    assert (ridges.enhanced(level) == 128).all()


def test_most_of_noise_is_levelled() -> None:
    noise = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE)).astype(np.float32)
    assert (np.abs(ridges.enhanced(noise).astype(int) - 128) > 20).mean() < 0.1


def test_outside_the_print_nothing_appears() -> None:
    image = waves()
    image[:, SIDE // 2 :] = 230
    assert (ridges.enhanced(image)[:, SIDE // 2 + 36 :] == 128).all()


@pytest.mark.parametrize("shape", [(96, 96), (97, 131), (374, 388)])
def test_every_size_comes_back_as_it_went_and_twice_the_same(shape) -> None:
    image = np.random.default_rng(3).normal(128, 40, shape).astype(np.float32)
    before = image.copy()
    first = ridges.enhanced(image)
    assert (first.shape, first.dtype) == (shape, np.uint8)
    assert (first == ridges.enhanced(image)).all()
    assert (image == before).all()
