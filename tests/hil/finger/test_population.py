import numpy as np
import pytest

from hil.finger import population
from hil.finger.exposure import CAPACITIVE, OPTICAL
from hil.finger.master import Master

FINGERS, TOUCHES = 60, 6


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """Pressure of each touch: (fingers, touches)."""
    return np.array(
        [[population.drawn(f, k).pressure for k in range(TOUCHES)] for f in range(FINGERS)]
    )


def test_the_same_touch_gives_the_same_bytes(finger: Master) -> None:
    one, two, other = (population.touch(finger, k, OPTICAL).pixels for k in (3, 3, 4))
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()


def test_a_sensor_has_its_size(finger: Master) -> None:
    assert population.touch(finger, 1, CAPACITIVE).pixels.shape == (300, 300)


def test_a_finger_keeps_its_habits(drawn: np.ndarray) -> None:
    """Fingers differ from one another by more than chance touches would make them."""
    between, within = drawn.mean(axis=1).std(), drawn.std(axis=1).mean()
    assert between == pytest.approx(population.MOISTURE[0], rel=0.35)
    assert within == pytest.approx(population.MOISTURE[1], rel=0.35)


def test_some_touches_miss_and_most_do_not() -> None:
    far = [
        population.drawn(f, k).shift_px == population.MISS_PX
        for f in range(FINGERS)
        for k in range(TOUCHES)
    ]
    assert np.mean(far) == pytest.approx(population.MISS_SHARE, abs=0.09)


def test_nothing_is_drawn_that_no_hand_does() -> None:
    for f in range(200):
        touch = population.drawn(f, f % 7)
        assert 0 <= touch.rotation_deg <= 40
        assert 0 <= touch.pull_px <= 20
        assert 0 <= touch.twist_deg <= 12
        assert 60 < touch.contact_px[0] < 150
        assert 0.4 <= touch.contrast < 1
