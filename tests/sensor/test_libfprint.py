"""What libfprint says, in our words; and a removal, after which libfprint itself would hang."""

import os

import numpy as np
import pytest
from gi.repository import GLib

from hil.finger.sensor import VirtualSensor
from sdbox_agent.errors import AskAgain, Fault
from sdbox_agent.sensor import detect, libfprint
from sdbox_agent.sensor.libfprint import LibfprintSensor
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig


def made(domain: str, code: int):
    return GLib.Error("text", domain, code)


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        (0, "finger-poor"),
        (1, "too-short-touch"),
        (2, "centre-finger"),
        (3, "lift-and-place"),
        (99, "finger-poor"),
    ],
)
def test_retries_are_for_the_person(code, ours) -> None:
    error = libfprint._translated(made(libfprint.RETRY_DOMAIN, code))
    assert isinstance(error, AskAgain)
    assert error.code == ours


@pytest.mark.parametrize(
    ("domain", "code", "ours"),
    [
        ("fp - device - error - quark", 0x100, "sensor-missing"),
        ("fp - device - error - quark", 6, "sensor-failed"),
        ("g-io-error-quark", 19, "sensor-failed"),
    ],
)
def test_everything_else_is_a_fault(domain, code, ours) -> None:
    error = libfprint._translated(made(domain, code))
    assert isinstance(error, Fault)
    assert error.code == ours


def test_a_sensor_once_removed_stays_removed(tmp_path, monkeypatch) -> None:
    path = tmp_path / "sensor.sock"
    monkeypatch.setenv("FP_VIRTUAL_IMAGE", str(path))
    sensor = LibfprintSensor()
    sensor.open()
    end, start = os.pipe()
    with VirtualSensor.connect(path) as hand:
        for _ in range(2):
            with pytest.raises(Fault, match="sensor-missing"):
                sensor.capture(PATIENCE_S, end, hand.unplug)
    sensor.close()
    os.close(end)
    os.close(start)


def test_no_sensor_is_a_fault(monkeypatch) -> None:
    monkeypatch.delenv("FP_VIRTUAL_IMAGE", raising=False)
    with pytest.raises(Fault, match="sensor-missing"):
        LibfprintSensor().open()


def test_a_frame_too_wide_is_a_fault(tmp_path, monkeypatch) -> None:
    path = tmp_path / "sensor.sock"
    monkeypatch.setenv("FP_VIRTUAL_IMAGE", str(path))
    wide = np.tile(detect._trial()[:120], (1, 6))  # 1152 px: libfprint itself takes it
    sensor = LibfprintSensor()
    sensor.open()
    end, start = os.pipe()
    with VirtualSensor.connect(path) as hand, pytest.raises(Fault, match="sensor-failed"):
        sensor.capture(5.0, end, lambda: hand.lay(wide))
    sensor.close()
    os.close(end)
    os.close(start)
