import numpy as np
import pytest

from hil.finger import ridges


def _grown(theta_deg: float, period_px: float, seed: int = 0) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(seed))
    small = (96, 80)
    theta = np.full(small, np.deg2rad(theta_deg), np.float32)
    period = np.full(small, period_px, np.float32)
    return ridges.grow(rng, theta, period, (192, 160))


def _dominant(signal: np.ndarray) -> tuple[float, float]:
    """Orientation (degrees, 0 to 180) and period (px) of the strongest waves."""
    power = np.abs(np.fft.fft2(signal)) ** 2
    fy, fx = np.meshgrid(
        np.fft.fftfreq(signal.shape[0]), np.fft.fftfreq(signal.shape[1]), indexing="ij"
    )
    power[np.hypot(fx, fy) > 0.2] = 0
    across = 0.5 * np.angle((power * np.exp(2j * np.arctan2(-fy, fx))).sum())
    period = power.sum() / (power * np.hypot(fx, fy)).sum()
    return float(np.rad2deg(across) + 90) % 180, float(period)


@pytest.mark.parametrize("theta_deg", [0.0, 30.0, 77.0, 135.0])
@pytest.mark.parametrize("period_px", [7.6, 9.0, 10.6])
def test_ridges_follow_the_orientation_and_the_period(theta_deg: float, period_px: float) -> None:
    angle, period = _dominant(_grown(theta_deg, period_px))
    assert abs((angle - theta_deg + 90) % 180 - 90) < 4
    assert period == pytest.approx(period_px, rel=0.08)


def test_ridges_are_full_grown_and_as_wide_as_the_valleys() -> None:
    signal = _grown(40.0, 9.0)
    assert np.abs(signal).mean() > 0.7
    assert abs(signal.mean()) < 0.05
    assert np.abs(signal).max() <= 1


def test_another_start_gives_other_ridges() -> None:
    one, two = _grown(40.0, 9.0, 0), _grown(40.0, 9.0, 1)
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.5


def test_a_shape_that_does_not_fit_is_refused() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    field = np.zeros((20, 20), np.float32)
    with pytest.raises(ValueError, match="half the shape"):
        ridges.grow(rng, field, field, (40, 44))
