"""Extraction through libfprint: known minutiae found, other layouts refused."""

import ctypes
import math

import numpy as np
import pytest

from hil.finger.person import Person
from sdbox_agent.biometrics import normalise
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
        assert math.isclose(math.cos(minutia.angle_rad), 1 if east else -1, abs_tol=0.02)
        assert minutia.quality > 50


@pytest.mark.parametrize("dpi", [400, 569, 1000])
def test_minutiae_come_at_500_ppi_whatever_the_sensor_had(dpi) -> None:
    seen = Person(3).touch(2, 1, "good").pixels
    other = np.asarray(normalise._resampling(seen.shape[0], dpi / 500) @ seen.astype(np.float32))
    other = other @ normalise._resampling(seen.shape[1], dpi / 500).T
    side = min(1000, *other.shape)
    here = detect.extract(seen, 500)
    there = detect.extract(other.astype(np.uint8)[:side, :side], dpi)
    places = np.array([(m.x_px, m.y_px) for m in here.minutiae])
    near = [np.hypot(*(places - (m.x_px, m.y_px)).T).min() < 6 for m in there.minutiae]
    assert len(near) > 15
    assert np.mean(near) > 0.7


def test_both_lists_are_of_the_same_finger_and_not_the_same() -> None:
    found = detect.extract(Person(3).touch(2, 1, "good").pixels, 500)
    places = np.array([(m.x_px, m.y_px) for m in found.minutiae])
    near = [np.hypot(*(places - (m.x_px, m.y_px)).T).min() < 6 for m in found.second]
    assert found.second != found.minutiae
    assert np.mean(near) > 0.6


def test_a_faint_print_keeps_its_minutiae() -> None:
    seen = Person(3).touch(2, 1, "good").pixels
    faint = np.asarray(200 + (seen.astype(np.int16) - 200) // 4, dtype=np.uint8)
    assert len(detect.extract(faint, 500).minutiae) > 0.6 * len(detect.extract(seen, 500).minutiae)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_even_image_has_no_finger(grey) -> None:
    with pytest.raises(AskAgain, match="finger-poor"):
        detect.extract(np.full((300, 300), grey, dtype=np.uint8), 500)


@pytest.mark.parametrize("shape", [(10, 10), (95, 300), (300, 1001)])
def test_an_image_of_an_impossible_size_never_reaches_libfprint(shape) -> None:
    with pytest.raises(Fault, match="sensor-failed"):
        detect.extract(np.zeros(shape, dtype=np.uint8), 500)


def test_an_image_of_more_skin_than_a_finger_has_never_reaches_libfprint() -> None:
    with pytest.raises(Fault, match="sensor-failed"):
        detect.extract(np.zeros((500, 600), dtype=np.uint8), 250)


def test_a_view_into_a_larger_image_is_read_as_it_looks() -> None:
    large = np.zeros((300, 400), dtype=np.uint8)
    large[50:242, 70:262] = detect._trial()
    whole, view = detect.extract(detect._trial(), 500), detect.extract(large[50:242, 70:262], 500)
    assert whole == view
