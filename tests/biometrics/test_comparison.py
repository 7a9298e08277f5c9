"""The comparison: same finger high, other finger low, and a number whatever comes."""

import dataclasses
import math
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdbox_agent.biometrics.comparison import Explanation, compare, explain, prepare
from sdbox_agent.biometrics.decision import accepts
from sdbox_agent.biometrics.minutia import Minutia, Template
from sdbox_agent.biometrics.parameters import SIMILARITY_POWER
from tests.biometrics.templates import finger, moved, templates

NOBODY = Template(())
ON_A_LINE = Template(tuple(Minutia(10.0 * k, 50.0, 0.0) for k in range(40)))
ONE_PLACE = Template(tuple(Minutia(50.0, 50.0, 0.1 * k) for k in range(40)))
REPEATED = Template((Minutia(50.0, 50.0, 1.0),) * 40)
FAR = Template(tuple(Minutia(1e5 * (-1) ** k, 1e5 - k, 0.0) for k in range(40)))


@pytest.mark.parametrize("angle_deg", [0, 10, -30, 60])
def test_the_same_finger_matches_however_it_lies(angle_deg) -> None:
    reference = prepare(finger(1))
    probe = prepare(
        moved(finger(1), math.radians(angle_deg), (35.0, -20.0), jitter_px=2.0, seed=angle_deg + 30)
    )
    assert accepts(compare(probe, reference))


def test_part_of_a_finger_matches() -> None:
    part = Template(tuple(m for m in finger(2, 60).minutiae if m.y_px < 220))
    assert 20 < len(part.minutiae) < 45
    assert accepts(compare(prepare(moved(part, 0.2, jitter_px=2.0)), prepare(finger(2, 60))))


def test_other_fingers_do_not_match() -> None:
    prepared = [prepare(finger(seed)) for seed in range(14)]
    scores = [compare(a, b) for i, a in enumerate(prepared) for b in prepared[:i]]
    assert len(scores) == 91
    assert not any(map(accepts, scores))


def test_an_explanation_is_of_the_score_and_says_who_met_whom() -> None:
    reference, probe = prepare(finger(1)), prepare(moved(finger(1), 0.3, (35.0, -20.0)))
    found = explain(probe, reference)
    assert (
        found.score
        == compare(probe, reference)
        == (found.similarity**SIMILARITY_POWER * found.share)
    )
    assert found.met is not None
    assert found.met.angle_rad == pytest.approx(-0.3, abs=1e-6)
    assert found.met.weight @ probe.points.worth == pytest.approx(found.met.paired)
    assert found.met.partner.tolist() == list(range(45))  # both are in order of quality
    assert "0." not in repr(found)


def test_doubtful_minutiae_that_meet_nothing_harm_less_than_sure_ones() -> None:
    sure = [dataclasses.replace(m, quality=60) for m in finger(1).minutiae]
    strangers = finger(2).minutiae[:15]
    reference = prepare(moved(Template(tuple(sure)), 0.2, jitter_px=1.0))
    doubtful, certain = (
        compare(prepare(Template((*sure, *strange))), reference)
        for strange in (
            [dataclasses.replace(m, quality=quality) for m in strangers] for quality in (5, 60)
        )
    )
    assert doubtful > 1.05 * certain


def with_second(first: Template, second: Template) -> Template:
    return dataclasses.replace(first, second=second.minutiae)


def test_two_extractors_make_one_score() -> None:
    firsts, seconds = [finger(1), moved(finger(1), 0.3)], [finger(7), moved(finger(7), 0.3)]
    probe, reference = (prepare(with_second(*pair)) for pair in zip(firsts, seconds, strict=True))
    one = compare(*map(prepare, firsts))
    two = compare(*map(prepare, seconds))
    found = explain(probe, reference)
    assert found.score == pytest.approx(math.sqrt((one**2 + two**2) / 2))
    assert found.second == two
    assert one != two


def test_a_third_partys_record_is_compared_by_what_both_have() -> None:
    probe, reference = finger(1), prepare(moved(finger(1), 0.3))
    both = prepare(with_second(probe, finger(7)))
    assert compare(both, reference) == compare(prepare(probe), reference)
    assert compare(reference, both) == compare(reference, prepare(probe))


def test_of_nothing_there_is_nothing_to_explain() -> None:
    nothing = explain(prepare(NOBODY), prepare(finger(1)))
    assert nothing == Explanation(0.0, 0.0, 0.0, None)


@given(templates, templates)
@example(NOBODY, finger(1))
@example(ON_A_LINE, ON_A_LINE)
@example(ONE_PLACE, ONE_PLACE)
@example(REPEATED, REPEATED)
@example(FAR, FAR)
@example(ONE_PLACE, finger(1))
def test_any_two_templates_give_a_score(one, other) -> None:
    probe, reference = prepare(one), prepare(other)
    score = compare(probe, reference)
    assert math.isfinite(score)
    assert 0 <= score <= 1
    assert score == compare(probe, reference)


@settings(max_examples=10)
@given(st.integers(0, 50))
def test_the_order_of_minutiae_does_not_matter(seed) -> None:
    template = Template(
        tuple(
            Minutia(m.x_px, m.y_px, m.angle_rad, m.type, 100 - k)
            for k, m in enumerate(finger(seed).minutiae)
        )
    )
    shuffled = list(template.minutiae)
    np.random.default_rng(seed).shuffle(shuffled)
    reference = prepare(moved(template, 0.1, jitter_px=1.0))
    assert compare(prepare(Template(tuple(shuffled))), reference) == compare(
        prepare(template), reference
    )


def test_the_largest_templates_take_less_than_a_second() -> None:
    rng = np.random.default_rng(1)
    crowd = [
        Template(
            tuple(
                Minutia(
                    *map(float, rng.uniform(0, 400, 2)), float(rng.uniform(0, 6.28)), quality=50
                )
                for _ in range(255)
            )
        )
        for _ in range(2)
    ]
    start = time.process_time()
    compare(prepare(crowd[0]), prepare(crowd[1]))
    assert time.process_time() - start < 1.0


def test_a_repr_shows_no_minutiae() -> None:
    prepared = prepare(finger(1))
    shown = repr((prepared, prepared.points, prepared.cylinders))
    assert "array" not in shown
    assert "[" not in shown.replace("[]", "")
