"""Directions refined from the ridges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.biometrics.direction import refined
from sdbox_agent.biometrics.minutia import Minutia, Template, turned

STEP_RAD = 2 * math.pi / 32  # libfprint's
SIZE = (120, 160)


def ridges(along_rad: float) -> np.ndarray:
    """Level waves that run along this direction, y up."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    across = x * math.sin(along_rad) + y * math.cos(along_rad)
    return np.asarray(128 + 100 * np.cos(2 * np.pi * across / 9), np.uint8)


def apart(one_rad: float, other_rad: float) -> float:
    return abs((one_rad - other_rad + math.pi) % (2 * math.pi) - math.pi)


@given(st.floats(0, 2 * math.pi))
def test_a_direction_told_in_steps_becomes_the_ridges_own(along_rad: float) -> None:
    told = turned(round(along_rad / STEP_RAD) * STEP_RAD)
    (found,) = refined([Minutia(80, 60, told)], ridges(along_rad))
    assert apart(found.angle_rad, along_rad) < math.radians(
        1.5
    )  # differences of pixels lean to the diagonals


def test_one_far_from_the_ridges_direction_stays() -> None:
    across = Minutia(80, 60, math.pi / 2)
    assert refined([across], ridges(0.0)) == (across,)


def test_where_there_are_no_ridges_it_stays() -> None:
    minutia = Minutia(80, 60, 0.1)
    assert refined([minutia], np.full(SIZE, 128, np.uint8)) == (minutia,)
    assert refined([], ridges(0.0)) == ()


@pytest.mark.parametrize("place", [(0, 0), (159, 119), (159.7, 119.7), (3, 60)])
def test_at_the_edge_what_is_there_is_seen(place: tuple[float, float]) -> None:
    (found,) = refined([Minutia(*place, 0.1)], ridges(0.0))
    assert apart(found.angle_rad, 0.0) < math.radians(10)


@given(
    arrays.arrays(np.uint8, (40, 50)),
    st.lists(
        st.builds(
            Minutia,
            st.floats(0, 50),
            st.floats(0, 40),
            st.floats(0, 2 * math.pi, exclude_max=True),
            quality=st.integers(0, 100),
        ),
        max_size=5,
    ),
)
def test_nothing_else_changes_and_that_by_little(image: np.ndarray, given_: list[Minutia]) -> None:
    found = refined(given_, image)
    assert len(found) == len(given_)
    for before, after in zip(given_, found, strict=True):
        assert (after.x_px, after.y_px, after.type, after.quality) == (
            before.x_px,
            before.y_px,
            before.type,
            before.quality,
        )
        assert apart(before.angle_rad, after.angle_rad) <= p.MAX_REFINEMENT_RAD + 1e-9
    Template(found)  # directions a template takes
