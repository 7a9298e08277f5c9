"""A frame is taken for what the profile says of the sensor, and refused for what it does not."""

import msgspec
import numpy as np
import pytest

from hil.finger.person import Person
from sdbox_agent.biometrics.minutia import PPI
from sdbox_agent.errors import AskAgain, Fault, Refused
from sdbox_agent.sensor import detect, intake
from tests.kinds import SENSOR

pytestmark = pytest.mark.rig

TOUCH = Person(1).touch(2, 1).pixels


def kind(**other):
    return msgspec.structs.replace(SENSOR, **other)


def test_minutiae_are_those_of_the_profiles_resolution() -> None:
    exact = kind(ppmm=PPI / 25.4)
    assert intake.probe(TOUCH, exact) == detect.extract(TOUCH, PPI)
    assert intake.impression(TOUCH, exact) == intake.probe(TOUCH, exact)
    assert intake.probe(TOUCH, kind(ppmm=22.4)) != intake.probe(TOUCH, exact)


@pytest.mark.parametrize(("max_width_px", "max_height_px"), [(387, 374), (388, 373)])
def test_fault_48_an_image_of_another_size_than_the_sensors_is_a_fault(
    max_width_px: int, max_height_px: int
) -> None:
    assert TOUCH.shape == (374, 388)
    with pytest.raises(Fault, match="sensor-failed"):
        intake.probe(TOUCH, kind(max_width_px=max_width_px, max_height_px=max_height_px))


def test_a_sensor_may_ask_for_more_minutiae_than_the_matcher() -> None:
    found = len(intake.probe(TOUCH, SENSOR).minutiae)
    assert intake.probe(TOUCH, kind(min_minutiae=found))
    with pytest.raises(AskAgain, match="finger-poor"):
        intake.probe(TOUCH, kind(min_minutiae=found + 1))


def test_no_reference_comes_from_a_sensor_that_can_not_serve() -> None:
    unfit = kind(enrols=False)
    assert intake.probe(TOUCH, unfit)
    with pytest.raises(Refused, match="sensor-unfit"):
        intake.impression(TOUCH, unfit)
    with pytest.raises(Refused, match="sensor-unfit"):
        intake.impression(np.zeros((8, 8), dtype=np.uint8), unfit)
