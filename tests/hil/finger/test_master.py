import numpy as np
import pytest

from hil.finger import master
from hil.finger.orientation import FingerClass


@pytest.fixture(scope="module")
def grown() -> master.Master:
    return master.grow(41)


def test_the_same_seed_gives_the_same_bytes(grown: master.Master) -> None:
    again = master.grow(41)
    assert grown.ridges.tobytes() == again.ridges.tobytes()
    assert grown.skin.tobytes() == again.skin.tobytes()
    assert (grown.kind, grown.points) == (again.kind, again.points)


def test_another_seed_gives_unrelated_ridges(grown: master.Master) -> None:
    other = master.grow(42, grown.kind)
    share = np.corrcoef(grown.ridges.ravel() > 127, other.ridges.ravel() > 127)[0, 1]
    assert abs(share) < 0.1


def test_the_planes_are_what_they_say(grown: master.Master) -> None:
    for plane in (grown.ridges, grown.skin):
        assert plane.shape == master.SHAPE
        assert plane.dtype == np.uint8
    assert 0.47 < (grown.ridges > 127).mean() < 0.53
    assert 0.01 < (grown.skin < 200).mean() < 0.15


def test_pores_lie_on_crests(grown: master.Master) -> None:
    deep = grown.skin < 120
    assert deep.any()
    assert (grown.ridges[deep] > 127).mean() > 0.7


def test_a_class_can_be_asked_for() -> None:
    assert master.grow(3, FingerClass.ARCH).kind is FingerClass.ARCH
