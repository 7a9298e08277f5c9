import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hil.finger.impression import impression
from hil.finger.master import Master
from hil.finger.sensor import DeviceError, Retry, SensorError, VirtualSensor
from tests.waiting import PATIENCE_S


@pytest.fixture
def pair() -> Iterator[tuple[VirtualSensor, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE_S)
    with VirtualSensor(ours) as sensor, theirs:
        yield sensor, theirs


def test_an_image_is_its_size_and_its_rows(pair: tuple[VirtualSensor, socket.socket]) -> None:
    sensor, driver = pair
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    sensor.lay(pixels.T[::-1])  # not contiguous
    expected = struct.pack("=ii", 3, 4) + bytes([3, 7, 11, 2, 6, 10, 1, 5, 9, 0, 4, 8])
    assert driver.recv(100) == expected


def test_commands_are_two_integers(pair: tuple[VirtualSensor, socket.socket]) -> None:
    sensor, driver = pair
    sensor.retry(Retry.CENTER_FINGER)
    sensor.error(DeviceError.PROTO)
    sensor.automatic_finger(on=False)
    sensor.finger(down=True)
    sensor.finger(down=False)
    sensor.unplug()
    sensor.send_raw(b"\1\2\3")
    sent = struct.pack("=12i", -1, 2, -2, 5, -3, 0, -4, 1, -4, 0, -5, 0)
    assert driver.recv(100) == sent + b"\1\2\3"


def test_nothing_is_laid_on_an_unread_message(pair: tuple[VirtualSensor, socket.socket]) -> None:
    sensor, driver = pair
    pixels = np.zeros((40, 40), np.uint8)
    sensor.lay(pixels)
    assert sensor.unread()
    with pytest.raises(SensorError, match="not read"):
        sensor.lay(pixels)
    with pytest.raises(SensorError, match="no capture"):
        sensor.wait_taken(0.05)
    driver.recv(8 + 1600, socket.MSG_WAITALL)
    assert not sensor.unread()
    sensor.wait_taken(0.05)
    sensor.lay(pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 5), np.uint8),
        np.zeros((5, 5001), np.uint8),
        np.zeros((5, 5), np.float32),
        np.zeros(25, np.uint8),
    ],
)
def test_what_the_driver_would_not_take_is_not_sent(
    pair: tuple[VirtualSensor, socket.socket], pixels: np.ndarray
) -> None:
    sensor, _ = pair
    with pytest.raises(ValueError):
        sensor.lay(pixels)
    assert not sensor.unread()


def test_a_hang_up_is_an_error(pair: tuple[VirtualSensor, socket.socket]) -> None:
    sensor, driver = pair
    driver.close()
    with pytest.raises(SensorError, match="hung up"):
        sensor.lay(np.zeros((40, 40), np.uint8))


def test_connecting_waits_for_the_device_to_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "sensor"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()  # a file nobody listens on

    def open_late() -> None:
        time.sleep(0.15)
        path.unlink()
        listener.bind(str(path))
        listener.listen(1)

    with socket.socket(socket.AF_UNIX) as listener:
        opener = threading.Thread(target=open_late)
        began = time.monotonic()
        opener.start()
        VirtualSensor.connect(path, deadline_s=PATIENCE_S).close()
        assert time.monotonic() - began >= 0.15
        opener.join()


def test_connecting_gives_up_at_the_deadline(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(SensorError, match="no sensor"):
        VirtualSensor.connect(tmp_path / "none", deadline_s=0.1)
    assert 0.09 < time.monotonic() - began < PATIENCE_S
    with pytest.raises(SensorError, match="cannot reach"):
        VirtualSensor.connect(tmp_path / ("x" * 120), deadline_s=0.1)


class Box:
    """The child with the device open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sensor_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "FP_VIRTUAL_IMAGE": str(path)},
            text=True,
        )

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def heard(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "libfprint died"
        answer: dict[str, object] = json.loads(line)
        return answer


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "sensor")
    watchdog = threading.Timer(2 * PATIENCE_S, box.process.kill)
    watchdog.start()
    try:
        yield box
    finally:
        watchdog.cancel()
        box.process.kill()
        box.process.communicate()


@pytest.mark.rig
def test_libfprint_gets_the_very_bytes(box: Box, finger: Master) -> None:
    assert box.heard() == {"open": True}
    with VirtualSensor.connect(box.path) as sensor:
        for seed, size in ((1, (388, 374)), (2, (256, 300))):
            pixels = impression(finger, seed, size_px=size).pixels
            box.say("capture")
            sensor.lay(pixels, taken_within_s=PATIENCE_S)
            got = box.heard()
            assert (got["width"], got["height"]) == size
            assert got["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
            assert int(str(got["minutiae"])) >= 15


@pytest.mark.rig
def test_libfprint_hears_retries_errors_and_fingers_by_hand(box: Box, finger: Master) -> None:
    assert box.heard() == {"open": True}
    pixels = impression(finger, 1).pixels
    with VirtualSensor.connect(box.path) as sensor:
        for reason in (Retry.TOO_SHORT, Retry.CENTER_FINGER, Retry.REMOVE_FINGER):
            box.say("capture")
            sensor.retry(reason)
            assert box.heard() == {"domain": "fp - device - retry - quark", "code": reason}
        box.say("capture")
        sensor.error(DeviceError.PROTO)
        assert box.heard() == {"domain": "fp - device - error - quark", "code": DeviceError.PROTO}
        box.say("capture")
        sensor.automatic_finger(on=False)
        sensor.finger(down=True)
        sensor.wait_taken(PATIENCE_S)
        sensor.lay(pixels, taken_within_s=PATIENCE_S)
        sensor.finger(down=False)
        assert box.heard()["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()


@pytest.mark.rig
def test_a_finger_laid_too_early_is_noticed(box: Box, finger: Master) -> None:
    assert box.heard() == {"open": True}
    with VirtualSensor.connect(box.path) as sensor:
        with pytest.raises(SensorError, match="no capture"):
            sensor.lay(impression(finger, 1).pixels, taken_within_s=0.3)
        with pytest.raises(SensorError, match="not read"):
            sensor.lay(impression(finger, 1).pixels)


@pytest.mark.rig
def test_an_unplugged_sensor_is_removed(box: Box) -> None:
    assert box.heard() == {"open": True}
    with VirtualSensor.connect(box.path) as sensor:
        box.say("capture")
        sensor.unplug()
        assert box.heard() == {"domain": "fp - device - error - quark", "code": 256}


@pytest.mark.rig
def test_a_reopened_sensor_is_reached_again(box: Box, finger: Master) -> None:
    assert box.heard() == {"open": True}
    VirtualSensor.connect(box.path).close()
    box.say("reopen")
    assert box.heard() == {"open": True}
    pixels = impression(finger, 1).pixels
    with VirtualSensor.connect(box.path) as sensor:
        box.say("capture")
        sensor.lay(pixels, taken_within_s=PATIENCE_S)
        assert box.heard()["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
