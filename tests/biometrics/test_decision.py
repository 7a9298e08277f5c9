"""The decision of an attempt: over captures, views and fingers."""

import math

from sdbox_agent.biometrics import decision, parameters
from sdbox_agent.biometrics.comparison import compare, prepare
from sdbox_agent.terms import Band
from tests.biometrics.templates import finger, moved


def test_the_best_view_counts() -> None:
    probe = prepare(moved(finger(1), 0.1, jitter_px=2.0))
    views = [(2, prepare(finger(seed))) for seed in (5, 1, 6)]
    assert decision.fused([probe], views) == compare(probe, views[1][1])
    assert decision.fused([probe], []) == 0
    assert decision.fused([], views) == 0


def test_a_capture_more_never_lowers_it() -> None:
    captures = [prepare(moved(finger(1), 0.1 * k, jitter_px=3.0, seed=k)) for k in range(3)]
    views = [(2, prepare(finger(1)))]
    scores = [decision.fused(captures[:k], views) for k in range(4)]
    assert scores == sorted(scores)


def test_the_threshold_is_where_the_decision_turns() -> None:
    threshold = parameters.THRESHOLD_FMR_1E_4
    assert decision.accepts(threshold)
    assert not decision.accepts(math.nextafter(threshold, 0))
    assert not decision.accepts(0)


def test_bands_stand_in_order_above_the_threshold() -> None:
    threshold = parameters.THRESHOLD_FMR_1E_4
    assert threshold < parameters.FAIR_FROM < parameters.STRONG_FROM < 1
    assert decision.band(threshold) is Band.WEAK
    assert decision.band(parameters.FAIR_FROM) is Band.FAIR
    assert decision.band(1.0) is Band.STRONG
