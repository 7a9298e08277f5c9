"""A scan ends with a probe, with the last why, or with a refusal; and each touch counts once."""

import os
from dataclasses import dataclass

import numpy as np
import pytest

from sdbox_agent.errors import AskAgain, Fault, Refused
from sdbox_agent.sensor.port import Interrupted
from sdbox_agent.sensor.replay import Replays
from sdbox_agent.sensor.scan import Scanner
from sdbox_agent.sensor.scripted import Early, ScriptedSensor

POOR, BLANK, WET, DRY, GOOD = 0, 10, 30, 40, 100
SPOILT = {WET: "finger-wet", DRY: "finger-dry"}


@dataclass(frozen=True)
class Probe:
    """The judge's word; what something spoils is of the quality that its pixels say."""

    quality: int

    @property
    def spoilt(self) -> str | None:
        return SPOILT.get(self.quality)


def frame(value: int, which: int = 0) -> np.ndarray:
    """A frame that the judge below reads as `value`; `which` makes it another one."""
    pixels = np.full((200, 200), value, dtype=np.uint8)
    pixels[0, which] ^= 1
    return pixels


def judge(pixels: np.ndarray) -> Probe:
    if pixels[-1, -1] == BLANK:
        raise AskAgain("finger-poor")
    if pixels[-1, -1] == POOR:
        raise AskAgain("press-harder")
    return Probe(int(pixels[-1, -1]))


@pytest.fixture
def interrupt():
    end, start = os.pipe()
    yield end, start
    os.close(end)
    os.close(start)


def scanner(*steps, captures: int = 3) -> Scanner[Probe]:
    sensor = ScriptedSensor(steps)
    sensor.open()
    return Scanner(sensor, captures, Replays(bytes(32), (), lambda _: None), judge)


def test_a_good_touch_ends_the_scan(interrupt) -> None:
    hints: list[str] = []
    assert scanner(frame(GOOD)).scan(interrupt[0], hints.append) == Probe(GOOD)
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
    assert scans.scan(interrupt[0], hints.append) == Probe(GOOD)


def test_a_touch_that_something_spoils_is_put_aside_for_a_better_one(interrupt) -> None:
    hints: list[str] = []
    scans = scanner(frame(WET), frame(GOOD))
    assert scans.scan(interrupt[0], hints.append) == Probe(GOOD)
    assert hints == ["place-finger", "finger-wet", "place-finger"]


@pytest.mark.parametrize("values", [(WET, DRY), (DRY, WET), (DRY, POOR, WET), (POOR, DRY, POOR)])
def test_skin_that_is_always_so_is_taken_at_its_best(interrupt, values) -> None:
    hints: list[str] = []
    steps = (frame(value, which) for which, value in enumerate(values))
    assert scanner(*steps).scan(interrupt[0], hints.append) == Probe(DRY)
    assert hints.count("place-finger") == len(values)


def test_what_spoils_a_touch_is_asked_to_be_mended_once_a_transaction(interrupt) -> None:
    hints: list[str] = []
    scans = scanner(frame(WET, 1), frame(GOOD), frame(WET, 2))
    assert scans.scan(interrupt[0], hints.append) == Probe(GOOD)
    assert scans.scan(interrupt[0], hints.append) == Probe(WET)
    assert hints == ["place-finger", "finger-wet", "place-finger", "place-finger"]


def test_one_capture_is_enough_for_a_touch_that_would_do(interrupt) -> None:
    assert scanner(frame(WET), captures=1).scan(interrupt[0], lambda _: None) == Probe(WET)


def test_where_the_attempt_is_spent_a_spoilt_touch_is_taken_at_once(interrupt) -> None:
    hints: list[str] = []
    scans = scanner(frame(POOR), frame(WET), frame(GOOD))
    assert scans.scan(interrupt[0], hints.append, choosy=False) == Probe(WET)
    assert hints == ["place-finger", "press-harder", "place-finger"]


@pytest.mark.parametrize("value", [POOR, GOOD])
def test_the_same_pixels_are_refused_in_this_scan_and_in_a_later_one(interrupt, value) -> None:
    scans = scanner(frame(GOOD, 1), frame(value), frame(value), captures=2)
    assert scans.scan(interrupt[0], lambda _: None) == Probe(GOOD)
    with pytest.raises(Refused) as refused:  # noqa: PT012  a good touch ends one scan, not two
        scans.scan(interrupt[0], lambda _: None)
        scans.scan(interrupt[0], lambda _: None)
    assert refused.value.code == "replayed-sample"


def test_a_sensor_that_sees_nothing_twice_replays_nothing(interrupt) -> None:
    scans = scanner(frame(BLANK), frame(BLANK), frame(GOOD))
    assert scans.scan(interrupt[0], lambda _: None) == Probe(GOOD)


def test_what_lay_there_before_the_prompt_is_not_taken_and_costs_no_capture(interrupt) -> None:
    hints: list[str] = []
    early = Early(frame(GOOD, 1))
    scans = scanner(early, early, frame(GOOD - 1, 2), captures=1)
    assert scans.scan(interrupt[0], hints.append) == Probe(GOOD - 1)
    assert hints == ["lift-and-place", "place-finger"]


def test_a_finger_that_stays_does_not_wipe_away_why_it_was_not_enough(interrupt) -> None:
    hints: list[str] = []
    stays = Early(frame(WET))
    scans = scanner(frame(WET), stays, frame(POOR), stays, frame(GOOD))
    assert scans.scan(interrupt[0], hints.append) == Probe(GOOD)
    assert hints == [
        *("place-finger", "finger-wet"), *("place-finger", "press-harder"), "place-finger",
    ]  # fmt: skip


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
