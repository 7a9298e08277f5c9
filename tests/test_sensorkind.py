"""What is said of a sensor between processes is closed and bounded, and it checks what is there."""

import msgspec
import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.sensorkind import SensorKind
from tests.kinds import SENSOR


def test_a_kind_is_read_back_as_it_was_written() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SENSOR), type=SensorKind) == SENSOR


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("driver", "Virtual"), ("driver", ""), ("ppmm", 0.0), ("ppmm", 100.0),
        ("min_width_px", 95), ("max_height_px", 1001), ("min_minutiae", 256), ("dpi", 500),
    ],
)  # fmt: skip
def test_a_kind_out_of_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(SENSOR), field: value}, SensorKind)


def test_resolutions_are_inches_to_detectors_and_millimetres_to_profiles() -> None:
    assert SENSOR.dpi == pytest.approx(500, abs=0.1)


def test_another_driver_s_sensor_is_a_fault() -> None:
    SENSOR.check_driver("virtual_image")
    with pytest.raises(Fault, match="sensor-foreign"):
        SENSOR.check_driver("elan")


def test_a_size_that_the_sensor_does_not_give_is_a_fault() -> None:
    kind = msgspec.structs.replace(SENSOR, min_width_px=100, max_width_px=200, max_height_px=300)
    for width, height in ((100, 96), (200, 300)):
        kind.check_size(width, height)
    for width, height in ((99, 96), (201, 96), (100, 95), (100, 301)):
        with pytest.raises(Fault, match="sensor-failed"):
            kind.check_size(width, height)


def test_a_sensor_that_can_not_serve_enrols_nobody() -> None:
    SENSOR.check_enrols()
    with pytest.raises(Refused, match="sensor-unfit"):
        msgspec.structs.replace(SENSOR, enrols=False).check_enrols()
