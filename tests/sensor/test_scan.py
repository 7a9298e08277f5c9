"""A scan ends with a probe, with the last why, or with a refusal; and each touch counts once."""

import os

import numpy as np
import pytest

from sdbox_agent.errors import AskAgain, Fault, Refused
from sdbox_agent.sensor.port import Interrupted
from sdbox_agent.sensor.scan import Scanner
from sdbox_agent.sensor.scripted import ScriptedSensor

POOR, GOOD = 0, 100


def frame(value: int, which: int = 0) -> np.ndarray:
    """A frame that the judge below reads as `value`; `which` makes it another one."""
    pixels = np.full((200, 200), value, dtype=np.uint8)
    pixels[0, which] ^= 1
    return pixels


def judge(pixels: np.ndarray) -> int:
    if pixels[-1, -1] == POOR:
        raise AskAgain("press-harder")
    return int(pixels[-1, -1])


@pytest.fixture
def interrupt():
    end, start = os.pipe()
    yield end, start
    os.close(end)
    os.close(start)


def scanner(*steps, captures: int = 3) -> Scanner[int]:
    sensor = ScriptedSensor(steps)
    sensor.open()
    return Scanner(sensor, captures, judge)


def test_a_good_touch_ends_the_scan(interrupt) -> None:
    hints: list[str] = []
    assert scanner(frame(GOOD)).scan(interrupt[0], hints.append) == GOOD
    assert hints == ["place-finger"]


def test_each_poor_touch_says_why_and_the_last_why_ends_it(interrupt) -> None:
    hints: list[str] = []
    steps = (frame(POOR, 0), frame(POOR, 1), AskAgain("centre-finger"), frame(GOOD))
    scans = scanner(*steps)
    with pytest.raises(AskAgain) as asked:
        scans.scan(interrupt[0], hints.append)
    assert asked.value.code == "centre-finger"
    assert hints == [
        *("place-finger", "press-harder") * 2,
        *("place-finger", "centre-finger"),
    ]
    assert scans.scan(interrupt[0], hints.append) == GOOD


@pytest.mark.parametrize("value", [POOR, GOOD])
def test_the_same_pixels_are_refused_in_this_scan_and_in_a_later_one(interrupt, value) -> None:
    scans = scanner(frame(GOOD, 1), frame(value), frame(value), captures=2)
    assert scans.scan(interrupt[0], lambda _: None) == GOOD
    with pytest.raises(Refused) as refused:  # noqa: PT012  a good touch ends one scan, not two
        scans.scan(interrupt[0], lambda _: None)
        scans.scan(interrupt[0], lambda _: None)
    assert refused.value.code == "replayed-sample"


def test_nobody_comes(interrupt) -> None:
    hints: list[str] = []
    with pytest.raises(AskAgain) as asked:
        scanner(AskAgain("finger-timeout"), frame(GOOD)).scan(interrupt[0], hints.append)
    assert asked.value.code == "finger-timeout"
    assert hints == ["place-finger"]


def test_a_fault_and_an_interruption_end_it(interrupt) -> None:
    with pytest.raises(Fault, match="sensor-missing"):
        scanner(Fault("sensor-missing")).scan(interrupt[0], lambda _: None)
    os.write(interrupt[1], b"x")
    with pytest.raises(Interrupted):
        scanner().scan(interrupt[0], lambda _: None)
