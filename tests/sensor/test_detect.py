"""Extraction through libfprint: known minutiae found, other layouts refused."""

import ctypes
import math

import numpy as np
import pytest

from sdbox_agent.errors import AskAgain, Fault
from sdbox_agent.sensor import detect

pytestmark = pytest.mark.rig


def test_this_libfprint_has_the_layout_we_read() -> None:
    detect.check_layout()


@pytest.mark.parametrize("wrong", ["_Image", "_Minutia"])
def test_another_layout_is_refused(monkeypatch, wrong) -> None:
    class Shifted(ctypes.Structure):
        _fields_ = (("more", ctypes.c_int), *getattr(detect, wrong)._fields_)

    monkeypatch.setattr(detect, wrong, Shifted)
    with pytest.raises(Fault, match="sensor-failed"):
        detect.check_layout()


def test_a_detector_that_sees_otherwise_is_refused(monkeypatch) -> None:
    mirrored = np.flipud(detect._trial()).copy()
    monkeypatch.setattr(detect, "_trial", lambda: mirrored)
    with pytest.raises(Fault, match="sensor-failed"):
        detect.check_layout()


def test_known_ridge_endings_are_where_they_are() -> None:
    template = detect.extract(detect._trial(), 500)
    found = {(round(m.x_px / 10), round(m.y_px / 10)): m for m in template.minutiae}
    assert len(found) == 4
    for x, y, direction in detect._TRIAL:
        minutia = found[round(x / 10), round(y / 10)]
        east = direction == 8
        assert math.isclose(math.cos(minutia.angle_rad), 1 if east else -1, abs_tol=1e-9)
        assert minutia.quality > 50


def test_minutiae_come_at_500_ppi_whatever_the_sensor_had() -> None:
    at_500, at_569 = (detect.extract(detect._trial(), dpi) for dpi in (500, 569))
    far = {round(max(m.x_px for m in t.minutiae), 1) for t in (at_500, at_569)}
    assert len(far) == 2
    assert math.isclose(max(far) / min(far), 569 / 500, rel_tol=0.02)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_even_image_has_no_finger(grey) -> None:
    with pytest.raises(AskAgain, match="finger-poor"):
        detect.extract(np.full((300, 300), grey, dtype=np.uint8), 500)


@pytest.mark.parametrize("shape", [(10, 10), (95, 300), (300, 1001)])
def test_an_image_of_an_impossible_size_never_reaches_libfprint(shape) -> None:
    with pytest.raises(Fault, match="sensor-failed"):
        detect.extract(np.zeros(shape, dtype=np.uint8), 500)


def test_a_view_into_a_larger_image_is_read_as_it_looks() -> None:
    large = np.zeros((300, 400), dtype=np.uint8)
    large[50:242, 70:262] = detect._trial()
    whole, view = detect.extract(detect._trial(), 500), detect.extract(large[50:242, 70:262], 500)
    assert whole == view
