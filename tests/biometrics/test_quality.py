"""Quality gates: before an attempt is spent, before a reference is believed (faults 43, 47)."""

import dataclasses

import pytest
from hypothesis import given

from sdbox_agent.biometrics import quality
from sdbox_agent.biometrics.comparison import prepare
from sdbox_agent.biometrics.minutia import Minutia, Template
from sdbox_agent.errors import AskAgain, Refused
from tests.biometrics.templates import finger, templates

LINE = Template(tuple(Minutia(8.0 * k, 50.0, 0.0, quality=80) for k in range(40)))
SAME = Template((Minutia(50.0, 50.0, 1.0, quality=80),) * 40)
SMALL = Template(
    tuple(Minutia(100 + 9.0 * (k % 5), 100 + 9.0 * (k // 5), 1.0, quality=80) for k in range(25))
)


def measured(template: Template) -> quality.Measures:
    return quality.measure(template, prepare(template))


def faint(template: Template) -> Template:
    return Template(tuple(dataclasses.replace(m, quality=3) for m in template.minutiae))


def test_an_ordinary_finger_is_worth_an_attempt() -> None:
    measures = measured(finger(1))
    assert quality.check_probe(measures) >= 80
    quality.check_reference(measures)
    assert 110 < measures.area_mm2 < 169  # the oval they lie in: 130 x 160 px half-axes


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        (Template(()), "finger-poor"),
        (Template(finger(1).minutiae[:3]), "finger-poor"),
        (SMALL, "centre-finger"),
        (LINE, "centre-finger"),
        (faint(finger(1)), "press-harder"),
        (SAME, "finger-poor"),
    ],
)
def test_a_poor_probe_says_what_to_do(template, hint) -> None:
    with pytest.raises(AskAgain) as raised:
        quality.check_probe(measured(template))
    assert raised.value.code == hint


@pytest.mark.parametrize(
    "template", [Template(()), Template(finger(1).minutiae[:11]), LINE, SAME, SMALL]
)
def test_a_poor_reference_is_refused(template) -> None:
    with pytest.raises(Refused, match="reference-poor"):
        quality.check_reference(measured(template))


def test_quality_grows_with_what_there_is() -> None:
    few, many = (measured(finger(1, count)) for count in (15, 45))
    assert quality.quality(few) < quality.quality(many) <= 100


def test_a_detector_that_says_nothing_is_not_held_against_the_finger() -> None:
    silent = Template(tuple(dataclasses.replace(m, quality=0) for m in finger(1).minutiae))
    measures = measured(silent)
    assert measures.mean_quality is None
    assert quality.check_probe(measures) > 0


@given(templates)
def test_any_template_has_a_quality(template) -> None:
    assert 0 <= quality.quality(measured(template)) <= 100
