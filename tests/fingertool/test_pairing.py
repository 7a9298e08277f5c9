"""Pairs and areas against a motion that is known."""

import math

import numpy as np
import pytest

from sdbox_agent.biometrics.comparison import explain, prepare
from sdbox_agent.biometrics.hull import area
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.fingertool.pairing import PAIR_FROM, clipped, pairing
from tests.biometrics.templates import finger, moved

TURN_RAD = 0.4


def found(probe: Template, reference: Template):
    a, b = prepare(probe), prepare(reference)
    return pairing(a, b, explain(a, b))


def test_every_minutia_meets_itself_and_nothing_remains() -> None:
    reference = finger(3)
    probe = moved(reference, TURN_RAD, (30.0, 12.0))
    seen = found(probe, reference)
    assert len(seen.pairs) == 45
    by_quality = sorted(reference.minutiae, key=lambda m: -m.quality)
    for pair in seen.pairs:
        assert pair.probe == pair.reference
        meant = by_quality[pair.reference - 1]
        assert pair.reference_px == pytest.approx((meant.x_px, meant.y_px))
        assert pair.apart_px == pytest.approx(0, abs=1e-6)
        assert pair.turn_rad == pytest.approx(0, abs=1e-6)
        assert pair.weight == pytest.approx(1)
    assert seen.angle_rad == pytest.approx(-TURN_RAD)


def test_a_shift_is_what_the_middle_moves_by_as_seen() -> None:
    reference = finger(3)
    seen = found(moved(reference, 0.0, (30.0, 12.0)), reference)
    assert seen.shift_px == pytest.approx((-30.0, -12.0))


def test_what_remains_is_what_was_shaken_and_sure_pairs_come_first() -> None:
    reference = finger(3)
    seen = found(moved(reference, 0.1, jitter_px=4.0, seed=1), reference)
    weights = [pair.weight for pair in seen.pairs]
    assert weights == sorted(weights, reverse=True)
    assert min(weights) >= PAIR_FROM
    assert 2 < np.mean([pair.apart_px for pair in seen.pairs]) < 8


def test_the_common_area_is_the_part_both_show() -> None:
    reference = finger(2, 60)
    part = Template(tuple(m for m in reference.minutiae if m.y_px < 220))
    seen = found(moved(part, 0.2), reference)
    a, b = prepare(moved(part, 0.2)), prepare(reference)
    assert area(seen.probe_area) == pytest.approx(area(a.points.hull_px), rel=1e-6)
    assert area(seen.reference_area) == pytest.approx(area(a.points.hull_px), rel=1e-6)
    assert seen.reference_area[:, 1].max() < 221
    assert area(b.points.hull_px) > 1.3 * area(seen.reference_area)


def test_nothing_compared_has_no_pairing() -> None:
    assert found(Template(()), finger(1)) is None


SQUARE = np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)])


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (SQUARE, 4.0),
        (SQUARE + 1, 1.0),
        (SQUARE + 5, 0.0),
        (SQUARE * 9 - 5, 4.0),
        (SQUARE[:2], 0.0),
        (np.array([(1.0, -1.0), (3.0, 1.0), (1.0, 3.0), (-1.0, 1.0)]), 4.0),
        (np.array([(1.0, 0.0), (2.0, 1.0), (1.0, 2.0), (0.0, 1.0)]), 2.0),
    ],
)
def test_clipping_leaves_the_area_in_common(window: np.ndarray, expected: float) -> None:
    left = clipped(SQUARE, window)
    assert (area(left) if len(left) else 0.0) == pytest.approx(expected)


def test_of_no_area_nothing_is_left() -> None:
    assert clipped(np.empty((0, 2)), SQUARE).shape == (0, 2)
    assert not math.isnan(clipped(SQUARE[:1], SQUARE).sum())
