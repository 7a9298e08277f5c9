"""Sensors that fail, lie or are played with, on the real rig: what a session makes of them.

None of it costs a try: nothing here has given a probe worth an attempt.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from hil.finger.sensor import MAX_SIDE_PX, Retry, SensorError, VirtualSensor
from hil.issuing import Holder
from tests.hil.refusals import HERE, Bench, started

pytestmark = pytest.mark.rig

# The next process is there after 0.4 s here. A person would not notice 1 s; a slow machine may take
# longer, and then it is the machine.
READY_S = 5.0
SHAPE = (374, 388)


def prepare(_rig, people) -> dict[str, Holder]:
    names = ("unplugged", "dead", "lost", "blank", "giant", "retries", "replayed", "early")
    return {name: people.holder() for name in names}


@pytest.fixture(scope="module")
def rig():
    with started(prepare) as both:
        yield both


@pytest.fixture
def bench(rig) -> Iterator[Bench]:
    yield rig[0]
    rig[0].clear()


@pytest.fixture
def holders(rig) -> dict[str, Holder]:
    return rig[1]


def hand(bench: Bench) -> VirtualSensor:
    return VirtualSensor.connect(bench.rig.box.sensor_socket, READY_S)


def invited(bench: Bench) -> None:
    """The sensor waits."""
    assert bench.watch.until(lambda one: one.waits, "prompt").state == "scanning"


def told(bench: Bench) -> str | None:
    """What is said of the touch."""
    seen = bench.watch.until(lambda one: not one.waits, "an answer to the touch")
    assert seen.state == "scanning"
    return seen.code


def prompted(bench: Bench, holder: Holder) -> None:
    assert bench.to_finger(holder).state == "scanning"
    invited(bench)


def costs_nothing(bench: Bench, holder: Holder) -> None:
    assert bench.centre_row(holder) == (0, 0)
    assert bench.box_row(holder) is None


def opens(bench: Bench, holder: Holder) -> None:
    """The right finger does it after all, in this session."""
    bench.touch(HERE)
    assert bench.watch.state("open", "spent").state == "open"
    bench.leave()
    costs_nothing(bench, holder)


def next_session_opens(bench: Bench, holder: Holder) -> None:
    bench.clear()
    assert bench.enter(holder).state == "open"
    bench.leave()


def test_fault_45_a_sensor_pulled_out_in_a_scan_costs_no_try(
    bench: Bench, holders: dict[str, Holder]
) -> None:
    holder = holders["unplugged"]
    prompted(bench, holder)
    with hand(bench) as sensor:
        sensor.unplug()
        bench.refused("sensor-missing", "scanning")
    costs_nothing(bench, holder)
    next_session_opens(bench, holder)


@pytest.mark.parametrize("side_px", [8, 10])
def test_fault_49_an_image_that_kills_the_process_costs_no_try_and_the_next_is_there_at_once(
    bench: Bench, holders: dict[str, Holder], side_px: int
) -> None:
    holder = holders["dead"]
    prompted(bench, holder)
    with hand(bench) as sensor:
        sensor.lay(np.zeros((side_px, side_px), dtype=np.uint8))
        bench.watch.state("closing")
    with hand(bench):
        pass  # libfprint listens: its device is open again
    bench.refused("finger-worker-died", "scanning")
    costs_nothing(bench, holder)
    next_session_opens(bench, holder)


def test_fault_49_an_image_of_20000_by_20000_is_no_image(
    bench: Bench, holders: dict[str, Holder]
) -> None:
    holder = holders["giant"]
    prompted(bench, holder)
    assert MAX_SIDE_PX < 20_000
    with hand(bench) as sensor:
        sensor.send_raw(np.array([20_000, 20_000], dtype=np.int32).tobytes())
        with pytest.raises(SensorError):  # the driver has hung up
            sensor.send_raw(bytes(1 << 26))
    opens(bench, holder)


def test_fault_46_a_sensor_that_falls_silent_can_be_given_up(
    bench: Bench, holders: dict[str, Holder]
) -> None:
    """In the middle of an image. The transaction's 60 s would end it too: tests/session."""
    holder = holders["lost"]
    prompted(bench, holder)
    with hand(bench) as sensor:
        sensor.send_raw(np.array([388, 374], dtype=np.int32).tobytes() + bytes(1000))
        bench.nothing_begins(for_s=1.0)
        bench.cancel()
        bench.refused("cancelled", "scanning")
    costs_nothing(bench, holder)
    next_session_opens(bench, holder)


def test_fault_47_black_white_flat_and_noisy_frames_cost_no_try(
    bench: Bench, holders: dict[str, Holder]
) -> None:
    holder = holders["blank"]
    assert bench.to_finger(holder).state == "scanning"
    noise = np.random.default_rng(47).integers(0, 256, SHAPE).astype(np.uint8)
    for pixels in (*(np.full(SHAPE, grey, dtype=np.uint8) for grey in (0, 128, 255)), noise):
        invited(bench)
        bench.rig.operator.lay(pixels)
        assert told(bench) == "finger-poor"
    opens(bench, holder)


def test_fault_52_touches_too_short_without_end_cost_no_try(
    bench: Bench, holders: dict[str, Holder]
) -> None:
    holder = holders["retries"]
    assert bench.to_finger(holder).state == "scanning"
    for _ in range(7):  # more than the captures of two scans
        invited(bench)
        with hand(bench) as sensor:
            sensor.retry(Retry.TOO_SHORT)
            assert told(bench) == "too-short-touch"
    opens(bench, holder)


def test_fault_53_a_frame_that_opened_once_opens_no_second_session(
    bench: Bench, holders: dict[str, Holder]
) -> None:
    holder = holders["replayed"]
    pixels = HERE.touch(HERE.positions[0], 77, "good").pixels
    assert bench.to_finger(holder).state == "scanning"
    bench.rig.operator.lay(pixels)
    assert bench.watch.state("open", "spent").state == "open"
    bench.leave()
    bench.clear()
    assert bench.to_finger(holder).state == "scanning"
    bench.rig.operator.lay(pixels)
    bench.refused("replayed-sample", "scanning")
    costs_nothing(bench, holder)


def test_fault_55_an_image_from_before_the_prompt_is_let_go_by(
    bench: Bench, holders: dict[str, Holder]
) -> None:
    """The right person's, kept in the driver's buffer: it would open."""
    holder = holders["early"]
    with hand(bench) as sensor:
        sensor.lay(HERE.touch(HERE.positions[0], 78, "good").pixels)
        assert sensor.unread()
        assert bench.to_finger(holder).state == "scanning"
        bench.watch.code("lift-and-place", state="scanning")
        invited(bench)
        bench.nothing_begins(for_s=1.0)
    opens(bench, holder)
