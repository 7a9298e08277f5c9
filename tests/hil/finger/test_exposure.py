import numpy as np
import pytest

from hil.finger.exposure import CAPACITIVE, COARSE, OPTICAL, PALE, Exposure, expose

SENSORS = (OPTICAL, PALE, CAPACITIVE, COARSE)


def _shown(sensor: Exposure, seed: int = 1, contrast: float = 0.85) -> np.ndarray:
    """Skin that touches in the left half only."""
    dark = np.zeros((sensor.size_px[1], sensor.size_px[0]), np.float32)
    dark[:, : sensor.size_px[0] // 2] = 1
    return expose(np.random.default_rng(seed), sensor, dark, contrast)


@pytest.mark.parametrize("sensor", SENSORS)
def test_what_touches_is_darker_on_each_kind(sensor: Exposure) -> None:
    shown = _shown(sensor)
    half = sensor.size_px[0] // 2
    assert shown.dtype == np.uint8
    assert abs(np.median(shown[:, half + 5 :]) - sensor.background) < 12
    assert np.median(shown[:, : half - 5]) < sensor.background - 0.6 * sensor.ink


def test_the_same_generator_gives_the_same_bytes() -> None:
    assert _shown(PALE, 3).tobytes() == _shown(PALE, 3).tobytes()
    assert _shown(PALE, 3).tobytes() != _shown(PALE, 4).tobytes()


def test_less_contrast_is_paler() -> None:
    assert _shown(OPTICAL, contrast=0.4)[:, :150].mean() > _shown(OPTICAL)[:, :150].mean() + 60


def test_the_pattern_of_the_columns_stays_and_the_noise_does_not() -> None:
    def columns(sensor: Exposure, seed: int) -> np.ndarray:
        bare = _shown(sensor, seed)[:, 160:].astype(float).mean(axis=0)
        return bare[4:-4] - np.convolve(bare, np.ones(9) / 9, "valid")

    assert np.corrcoef(columns(CAPACITIVE, 1), columns(CAPACITIVE, 2))[0, 1] > 0.7
    assert abs(np.corrcoef(columns(PALE, 1), columns(PALE, 2))[0, 1]) < 0.4


def test_blur_rounds_an_edge() -> None:
    edge = np.zeros((64, 64), np.float32)
    edge[:, :32] = 1
    plain = {"background": 200, "ink": 100, "uneven": 0, "noise": 0}
    sharp, soft = (
        expose(np.random.default_rng(0), Exposure((64, 64), blur=rounds, **plain), edge, 1.0)
        for rounds in (0, 2)
    )

    def steepest(grey: np.ndarray) -> int:
        return int(np.abs(np.diff(grey[32].astype(int))).max())

    assert steepest(sharp) > 1.5 * steepest(soft)
