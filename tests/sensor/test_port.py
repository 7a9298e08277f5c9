"""The sensor's contract, held by the double and by libfprint's own virtual sensor alike."""

import os
import time

import numpy as np
import pytest

from hil.finger.person import Person
from hil.finger.sensor import DeviceError, Retry, VirtualSensor
from sdbox_agent.errors import AskAgain, Fault
from sdbox_agent.sensor.libfprint import LibfprintSensor
from sdbox_agent.sensor.port import Frame, Interrupted, check_size
from sdbox_agent.sensor.scripted import Early, ScriptedSensor

DEADLINE_S = 10.0


class Pipe:
    """A descriptor that can be made readable."""

    def __init__(self) -> None:
        self.end, self._start = os.pipe()

    def speak(self) -> None:
        os.write(self._start, b"x")

    def close(self) -> None:
        os.close(self.end)
        os.close(self._start)


class DoubleBench:
    """The double, told beforehand what happens at each capture."""

    def __init__(self, steps) -> None:
        self.sensor = ScriptedSensor([s if not callable(s) else None for s in steps])
        self._acts = [s if callable(s) or isinstance(s, Early) else None for s in steps]

    def lay_early(self) -> None:
        """It stands in the list."""

    def act(self) -> None:
        """What happens once the sensor waits."""
        while self._acts and isinstance(self._acts[0], Early):
            self._acts.pop(0)
        act = self._acts.pop(0) if self._acts else None
        if act is not None:
            act()

    def close(self) -> None:
        self.sensor.close()


class LibfprintBench:
    """libfprint's virtual_image, and a hand that does each step once the sensor waits."""

    def __init__(self, steps, path) -> None:
        self._steps = list(steps)
        os.environ["FP_VIRTUAL_IMAGE"] = str(path)
        self.sensor = LibfprintSensor()
        self.sensor.open()
        self._hand = VirtualSensor.connect(path)

    def lay_early(self) -> None:
        while self._steps and isinstance(self._steps[0], Early):
            self._hand.lay(self._steps.pop(0).pixels)

    def act(self) -> None:
        step = self._steps.pop(0) if self._steps else None
        if isinstance(step, np.ndarray):
            self._hand.lay(step)
        elif isinstance(step, AskAgain):
            name = {"centre-finger": "CENTER_FINGER", "lift-and-place": "REMOVE_FINGER"}
            self._hand.retry(Retry[name[step.code]])
        elif isinstance(step, Fault) and step.code == "sensor-missing":
            self._hand.unplug()
        elif isinstance(step, Fault):
            self._hand.error(DeviceError.GENERAL)
        elif callable(step):
            step()

    def close(self) -> None:
        self._hand.close()
        self.sensor.close()
        del os.environ["FP_VIRTUAL_IMAGE"]


@pytest.fixture(params=["double", pytest.param("libfprint", marks=pytest.mark.rig)])
def bench(request, tmp_path):
    made = []

    def make(*steps):
        if request.param == "double":
            made.append(DoubleBench(steps))
            made[-1].sensor.open()
        else:
            made.append(LibfprintBench(steps, tmp_path / "sensor.sock"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


@pytest.fixture(scope="module")
def touch() -> np.ndarray:
    return Person(1).touch(2, 1).pixels


def test_a_frame_comes_as_it_was_laid(bench, pipe, touch) -> None:
    stage, invited = bench(touch), []

    def waiting() -> None:
        invited.append(time.monotonic())
        stage.act()

    frame = stage.sensor.capture(DEADLINE_S, pipe.end, waiting)
    assert np.array_equal(frame.pixels, touch)
    assert frame.pixels.dtype == np.uint8
    assert len(invited) == 1


def test_fault_55_what_came_before_the_prompt_is_never_a_frame(bench, pipe, touch) -> None:
    stage, told = bench(Early(np.flipud(touch)), touch, Early(touch), None, touch), []

    def waiting() -> None:
        told.append("place-finger")
        stage.act()

    stage.lay_early()
    frame = stage.sensor.capture(DEADLINE_S, pipe.end, waiting, lambda: told.append("lift"))
    assert np.array_equal(frame.pixels, touch)
    assert told == ["lift", "place-finger"]
    stage.lay_early()  # and nothing after it: the capture waits on, and takes what comes then
    with pytest.raises(AskAgain, match="finger-timeout"):
        stage.sensor.capture(1.0, pipe.end, waiting)
    assert np.array_equal(stage.sensor.capture(DEADLINE_S, pipe.end, stage.act).pixels, touch)


@pytest.mark.parametrize("code", ["centre-finger", "lift-and-place"])
def test_after_a_retry_comes_the_next_touch(bench, pipe, touch, code) -> None:
    stage = bench(AskAgain(code), touch)
    with pytest.raises(AskAgain) as raised:
        stage.sensor.capture(DEADLINE_S, pipe.end, stage.act)
    assert raised.value.code == code
    assert np.array_equal(stage.sensor.capture(DEADLINE_S, pipe.end, stage.act).pixels, touch)


def test_nobody_there_ends_by_the_deadline(bench, pipe, touch) -> None:
    stage = bench(None, touch)
    start = time.monotonic()
    with pytest.raises(AskAgain, match="finger-timeout"):
        stage.sensor.capture(0.3, pipe.end, stage.act)
    assert 0.25 < time.monotonic() - start < DEADLINE_S
    assert np.array_equal(stage.sensor.capture(DEADLINE_S, pipe.end, stage.act).pixels, touch)


def test_a_word_on_the_descriptor_ends_it_at_once(bench, pipe, touch) -> None:
    said = []

    def speak() -> None:
        said.append(time.monotonic())
        pipe.speak()

    stage = bench(speak, touch)
    with pytest.raises(Interrupted):
        stage.sensor.capture(DEADLINE_S, pipe.end, stage.act)
    assert time.monotonic() - said[0] < DEADLINE_S / 2
    os.read(pipe.end, 1)
    assert np.array_equal(stage.sensor.capture(DEADLINE_S, pipe.end, stage.act).pixels, touch)


@pytest.mark.parametrize("code", ["sensor-missing", "sensor-failed"])
def test_a_fault_is_told_by_its_code(bench, pipe, code) -> None:
    stage = bench(Fault(code))
    with pytest.raises(Fault) as raised:
        stage.sensor.capture(DEADLINE_S, pipe.end, stage.act)
    assert raised.value.code == code


def test_a_closed_sensor_gives_nothing(bench, pipe) -> None:
    stage = bench()
    stage.sensor.close()
    stage.sensor.close()
    with pytest.raises(Fault, match="sensor-failed"):
        stage.sensor.capture(DEADLINE_S, pipe.end, stage.act)


@pytest.mark.parametrize("size", [(0, 0), (8, 8), (95, 200), (200, 95), (20_000, 20_000)])
def test_an_image_no_sensor_takes_is_a_fault(size) -> None:
    with pytest.raises(Fault, match="sensor-failed"):
        check_size(*size)


def test_a_repr_shows_no_pixels() -> None:
    assert repr(Frame(np.full((2, 2), 77, dtype=np.uint8))) == "<Frame>"
