"""What an impression offers: counted, and judged by the gates a box and a desk use."""

import numpy as np
import pytest

from sdbox_agent import errors
from sdbox_agent.biometrics.minutia import MinutiaType, Template
from sdbox_agent.fingertool import report
from sdbox_agent.fingertool.files import Image
from tests.biometrics.templates import finger


def test_a_good_finger_is_counted_and_nothing_is_held_against_it() -> None:
    template = finger(1)
    seen = report.extracted(template)
    assert seen.minutiae == 45 == seen.endings + seen.bifurcations
    assert seen.endings == sum(m.type is MinutiaType.ENDING for m in template.minutiae)
    assert (seen.probe_code, seen.reference_code) == (None, None)
    assert 100 < seen.area_mm2 < 250
    assert seen.certainty is not None
    assert seen.quality > 50


@pytest.mark.parametrize("count", [0, 1, 8])
def test_a_poor_one_is_told_as_a_person_would_be(count: int) -> None:
    seen = report.extracted(Template(finger(1).minutiae[:count]))
    assert seen.minutiae == count
    assert errors.explain(str(seen.probe_code)).kind == "AskAgain"
    assert errors.explain(str(seen.reference_code)).kind == "Refused"


def test_noise_is_no_finger_whatever_a_detector_finds_in_it() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (400, 400), np.uint8)
    seen = report.extracted(finger(1), Image(noise, 500.0))
    assert (seen.probe_code, seen.reference_code) == ("finger-poor", "finger-poor")
