"""Minutiae hold only what a finger can have, and don't show it."""

import math

import pytest

from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template, turned


def test_a_repr_shows_no_minutia() -> None:
    minutia = Minutia(123.0, 45.0, 1.5, MinutiaType.ENDING, 77)
    template = Template((minutia,))
    assert not any(digits in repr((minutia, template)) for digits in ("123", "45", "1.5", "77"))


@pytest.mark.parametrize(
    "fields",
    [
        (math.nan, 0.0, 0.0),
        (0.0, math.inf, 0.0),
        (1e6, 0.0, 0.0),
        (0.0, 0.0, math.nan),
        (0.0, 0.0, -0.1),
        (0.0, 0.0, 2 * math.pi),
    ],
)
def test_a_place_or_angle_that_is_none_is_refused(fields) -> None:
    with pytest.raises(ValueError):
        Minutia(*fields)


@pytest.mark.parametrize("quality", [-1, 101])
def test_a_quality_out_of_range_is_refused(quality) -> None:
    with pytest.raises(ValueError):
        Minutia(0.0, 0.0, 0.0, quality=quality)


@pytest.mark.parametrize("angle", [-1e-17, 2 * math.pi, -2 * math.pi, 100.0, -100.0, 0.0])
def test_turned_is_the_same_direction_in_one_turn(angle) -> None:
    assert 0 <= turned(angle) < 2 * math.pi
    assert math.isclose(math.cos(turned(angle)), math.cos(angle), abs_tol=1e-12)
