import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.finger.impression import HEIGHT_PX, NO_SLIP_SHARE, QUALITIES, WIDTH_PX
from hil.finger.pose import Pose, Stretch

_GRID = np.stack(
    np.meshgrid(np.arange(0, WIDTH_PX, 17.0), np.arange(0, HEIGHT_PX, 17.0)), axis=-1
).reshape(-1, 2)


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    """Anything a touch of any quality can draw."""
    touch = draw(st.sampled_from([QUALITIES[name] for name in sorted(QUALITIES)]))

    def within(limit: float) -> float:
        return draw(st.floats(-limit, limit))

    centre = (WIDTH_PX / 2 + within(touch.shift_px), HEIGHT_PX / 2 + within(touch.shift_px))
    stretch = Stretch(
        centre=centre,
        radii=(touch.contact_px[0] * NO_SLIP_SHARE * 0.92, touch.contact_px[1] * NO_SLIP_SHARE),
        pull=(within(touch.pull_px), within(touch.pull_px)),
        twist_rad=np.deg2rad(within(touch.twist_deg)),
        plasticity=draw(st.floats(0.8, 2)),
    )
    return Pose(np.deg2rad(within(touch.rotation_deg)), centre, (200.0, 240.0), stretch)


@given(poses())
def test_there_and_back_is_the_same_place(pose: Pose) -> None:
    back = pose.from_master(pose.to_master(_GRID))
    assert np.abs(back - _GRID).max() < 0.02


@given(poses())
def test_the_skin_never_folds(pose: Pose) -> None:
    right, down = np.array([0.5, 0]), np.array([0, 0.5])
    dx = pose.to_master(_GRID + right) - pose.to_master(_GRID - right)
    dy = pose.to_master(_GRID + down) - pose.to_master(_GRID - down)
    assert (dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]).min() > 0.2


def test_a_quarter_turn_is_counter_clockwise_as_seen() -> None:
    pose = Pose(np.pi / 2, (100.0, 100.0), (50.0, 50.0), Stretch((100.0, 100.0), (40.0, 40.0)))
    # right of the master's middle shows above the image's middle
    assert pose.from_master(np.array([60.0, 50.0])) == pytest.approx([100.0, 90.0])
    assert pose.turn_at(np.array([[100.0, 100.0]])) == pytest.approx([np.pi / 2])


def test_pressed_skin_does_not_slip_and_loose_skin_follows_the_pull() -> None:
    stretch = Stretch((100.0, 100.0), (20.0, 30.0), pull=(5.0, -3.0), plasticity=1.0)
    pose = Pose(0.0, (100.0, 100.0), (100.0, 100.0), stretch)
    pressed = np.array([[100.0, 100.0], [115.0, 100.0], [100.0, 125.0]])
    loose = np.array([[145.0, 100.0], [100.0, 165.0]])
    assert pose.to_master(pressed) == pytest.approx(pressed)
    assert pose.to_master(loose) == pytest.approx(loose + np.array([5.0, -3.0]))
    between = pose.to_master(np.array([[130.0, 100.0]])) - [130.0, 100.0]
    assert 0 < between[0, 0] < 5


@given(poses(), st.floats(60, 320), st.floats(60, 310))
def test_the_local_turn_is_that_of_a_short_line(pose: Pose, x: float, y: float) -> None:
    ends = np.array([[x - 0.5, y], [x + 0.5, y]])
    d = np.diff(pose.to_master(ends), axis=0)[0]
    # the line is level in the impression; seen in the master it is turned back
    seen = np.arctan2(-d[1], d[0])
    assert pose.turn_at(np.array([[x, y]]))[0] == pytest.approx(-seen, abs=1e-6)
