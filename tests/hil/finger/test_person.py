import numpy as np
import pytest

from hil.finger import LEFT_INDEX, RIGHT_INDEX, Person


def test_two_fingers_of_a_person_and_of_two_persons_are_unrelated() -> None:
    fingers = [Person(1).finger(RIGHT_INDEX), Person(1).finger(LEFT_INDEX)]
    fingers += [Person(2).finger(RIGHT_INDEX)]
    flat = np.stack([f.ridges.ravel() > 127 for f in fingers]).astype(float)
    assert np.abs(np.corrcoef(flat) - np.eye(3)).max() < 0.1
    assert len({f.seed for f in fingers}) == 3


def test_positions_are_those_of_the_standard() -> None:
    assert Person(1).positions == (2, 7)


def test_a_touch_is_one_of_that_finger() -> None:
    one, two = Person(1).touch(LEFT_INDEX, 3), Person(1).touch(LEFT_INDEX, 3)
    assert one.pixels.tobytes() == two.pixels.tobytes()
    assert one.pixels.tobytes() != Person(1).touch(RIGHT_INDEX, 3).pixels.tobytes()


def test_other_fingers_are_not_grown() -> None:
    with pytest.raises(ValueError, match="index"):
        Person(1).finger(1)
