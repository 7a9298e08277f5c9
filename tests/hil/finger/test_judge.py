import numpy as np
import pytest

from hil.finger import cache
from hil.finger.impression import Impression, impression
from hil.finger.judge import Judge, Minutiae, repeated_share
from hil.finger.master import Master
from hil.finger.pose import Pose, Stretch


def _blank(rotation_rad: float = 0.0) -> Impression:
    pose = Pose(rotation_rad, (100.0, 100.0), (100.0, 100.0), Stretch((100.0, 100.0), (50.0, 50.0)))
    return Impression(np.zeros((200, 200), np.uint8), pose, np.ones((200, 200), bool))


_FOUND = np.array([[100.0, 60.0, 0.3, 1.0], [60.0, 100.0, 2.0, 1.0], [140.0, 120.0, 4.0, 1.0]])


def _right(by_px: float) -> np.ndarray:
    return np.array([by_px, 0, 0, 0])


def test_minutiae_come_again_where_the_ground_truth_puts_them() -> None:
    turned = _FOUND.copy()
    # a quarter turn counter-clockwise as seen about (100, 100)
    turned[:, 0] = 100 + (_FOUND[:, 1] - 100)
    turned[:, 1] = 100 - (_FOUND[:, 0] - 100)
    turned[:, 2] += np.pi / 2
    assert repeated_share(_blank(), _blank(np.pi / 2), _FOUND, turned) == 1
    turned[:, 2] += np.deg2rad(25)
    assert repeated_share(_blank(), _blank(np.pi / 2), _FOUND, turned) == 0


def test_a_minutia_is_used_once_and_must_be_near() -> None:
    twice = np.vstack((_FOUND[:1], _FOUND[:1] + _right(3)))
    assert repeated_share(_blank(), _blank(), twice, _FOUND) == 0.5
    assert repeated_share(_blank(), _blank(), _FOUND, _FOUND + _right(16)) == 0
    assert repeated_share(_blank(), _blank(), _FOUND, np.empty((0, 4))) == 0


def test_what_cannot_show_is_not_due() -> None:
    a, b = _blank(), _blank()
    b.contact[:, 120:] = False  # the third minutia's place is not touched
    assert repeated_share(a, b, _FOUND, _FOUND[:2]) == 1


@pytest.mark.rig
def test_libfprint_finds_what_it_finds_in_ordinary_fingers() -> None:
    """The figures of `python -m hil.finger.survey 50`, on a handful: 25 to 70, >= 60 % again."""
    previous: tuple[Impression, Minutiae] | None = None
    with Judge() as judge:
        for seed in range(6):
            touches = [impression(cache.master(seed), k) for k in (1, 2)]
            found = [judge.minutiae(t.pixels) for t in touches]
            assert all(25 <= len(f) <= 70 for f in found), [len(f) for f in found]
            assert repeated_share(*touches, *found) >= 0.6
            if previous is not None:
                assert repeated_share(previous[0], touches[0], previous[1], found[0]) <= 0.55
            previous = (touches[0], found[0])


@pytest.mark.rig
def test_libfprint_puts_angles_along_the_ridges(finger: Master) -> None:
    """An image turned by 90 degrees turns every minutia with it, counter-clockwise as seen."""
    still = {"shift_px": 0.0, "pull_px": 0.0, "twist_deg": 0.0}
    with Judge() as judge:
        touch = impression(finger, 1, quality="good", **still)
        found = judge.minutiae(touch.pixels)
        turned = np.ascontiguousarray(np.rot90(touch.pixels))
        again = judge.minutiae(turned)
    _, width = touch.pixels.shape
    assert abs(len(found) - len(again)) <= 0.2 * len(found)
    hits = 0
    for x, y, angle, _ in found:
        distance = np.hypot(again[:, 0] - y, again[:, 1] - (width - 1 - x))
        nearest = again[distance.argmin()]
        turn = (nearest[2] - angle - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
        hits += distance.min() < 6 and abs(turn) < np.deg2rad(23)
    assert hits / len(found) > 0.8


@pytest.mark.rig
def test_a_dead_libfprint_is_said_so() -> None:
    with Judge() as judge:
        with pytest.raises(ValueError, match="too small"):
            judge.minutiae(np.zeros((20, 400), np.uint8))
        judge._child.kill()
        judge._child.wait()
        with pytest.raises(ChildProcessError):
            judge.minutiae(np.zeros((100, 100), np.uint8))
