"""Registration finds how a finger lay, and counts what meets."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.biometrics import parameters
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.biometrics.points import points
from sdbox_agent.biometrics.registration import Motion, register
from tests.biometrics.templates import finger, moved


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.2, math.pi])
def test_the_same_finger_meets_almost_whole(angle) -> None:
    probe = points(finger(1))
    reference = points(moved(finger(1), angle, (30.0, -12.0), jitter_px=1.5))
    found = register(probe, reference, np.array([3, 9]), np.array([3, 9]))
    assert found.paired > 0.9 * len(probe)
    assert found.probe_overlap >= len(probe) - 3
    assert found.reference_overlap >= len(reference) - 3


def test_a_rough_proposal_is_refined(monkeypatch) -> None:
    probe = points(finger(2))
    reference = points(moved(finger(2), 0.3))
    reference.angle_rad[5] += 0.1  # the proposal is 6 degrees out
    refined = register(probe, reference, np.array([5]), np.array([5])).paired
    monkeypatch.setattr(parameters, "TOLERANCES", parameters.TOLERANCES[-1:])
    rough = register(probe, reference, np.array([5]), np.array([5])).paired
    assert refined > 0.85 * len(probe)
    assert rough < 0.75 * len(probe)


def test_a_minutia_meets_one_other_at_most() -> None:
    few = finger(6).minutiae[:3]
    crowd = tuple(
        dataclasses.replace(m, x_px=m.x_px + dx) for m in few for dx in (0.0, 0.7, 1.4, 2.1)
    )
    probe, reference = points(Template(crowd)), points(Template(few))
    found = register(probe, reference, np.array([0]), np.array([0]))
    assert 2.5 < found.paired <= 3


def test_other_fingers_meet_little() -> None:
    probe, reference = points(finger(3)), points(finger(4))
    found = register(probe, reference, np.arange(8), np.arange(8))
    assert found.paired < 0.5 * len(probe)


def test_a_proposal_that_brings_nothing_together_is_no_error() -> None:
    probe = points(finger(5))
    reference = points(moved(finger(5), 0.0, (5000.0, 0.0)))
    reference.angle_rad[:] = probe.angle_rad + math.pi / 2
    found = register(probe, reference, np.array([0]), np.array([44]))
    assert 0 <= found.paired < len(probe)


@given(st.floats(-7, 7), st.floats(-500, 500), st.floats(-500, 500))
def test_a_motion_undoes_itself(angle, x, y) -> None:
    motion = Motion(np.array([angle]), np.array([[x, y]]))
    places = np.array([(0.0, 0.0), (10.0, -3.0), (400.0, 400.0)])
    assert np.allclose(motion.undo(motion.apply(places)[0]), places)
