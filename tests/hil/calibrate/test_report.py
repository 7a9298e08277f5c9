import json

import numpy as np
import pytest

from hil.calibrate import report, statistics
from hil.calibrate.report import Measured
from hil.calibrate.statistics import Decisions

MEASURES = np.array([[30.0, 100.0, 40.0], [50.0, 140.0, 60.0]])


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "ROUNDS", 60)


def _measured(kind: str, people: int, shift: float) -> Measured:
    """Impostor scores spread evenly from `shift` to `shift` + 1; genuine ones grow to 1.3."""
    pairs = [(a, b) for a in range(people) for b in range(people) if a != b]
    who = np.array(pairs * 20)
    order = np.random.default_rng(0).permutation(len(who))
    score = (order + 0.5) / len(who) + shift
    own = np.arange(people)[:, None]
    genuine = [Decisions(np.full(people, level), own) for level in (0.5, 0.995, 1.3)]
    return Measured(kind, Decisions(score, who), genuine, [0] * people, MEASURES)


@pytest.fixture
def found() -> dict:
    return report.values(_measured("virtual", 30, 0.0), [_measured("real: all sets", 10, -0.5)])


def test_thresholds_are_the_virtual_peoples(found: dict) -> None:
    at = [row["threshold"]["value"] for row in found["thresholds"]]
    assert at == pytest.approx([0.99, 0.999, 0.9999], abs=2e-4)


def test_both_kinds_stand_beside_each_threshold_by_name(found: dict) -> None:
    virtual, real = found["thresholds"][0]["rates"]
    assert (virtual["kind"], real["kind"]) == ("virtual", "real: all sets")
    assert virtual["fmr"]["value"] == pytest.approx(0.01, rel=0.01)
    assert real["fmr"]["value"] == 0
    assert real["fmr"]["high"] == pytest.approx(1 - 0.05 ** (1 / 10))
    assert [after["value"] for after in virtual["fnmr_after_captures"]] == [1, 0, 0]


def test_the_text_says_all_of_it_and_doubts_what_rests_on_little(found: dict) -> None:
    text = report.text(found)
    assert "virtual: 30 people, 17400 impostor and 30 genuine decisions" in text
    assert "real: all sets" in text
    assert "area_mm2 5 %: 102  25 %: 110  50 %: 120  75 %: 130  95 %: 138" in text
    by_rate = {line.split()[1]: line for line in text.splitlines() if line.startswith("FMR")}
    assert "too few" not in by_rate["0.01"]
    assert "too few" in by_rate["0.0001"]


def test_a_constant_is_never_below_what_was_measured(found: dict) -> None:
    lines = report.constants(found)
    assert [line.split(":")[0] for line in lines] == [
        "THRESHOLD_FMR_1E_2",
        "THRESHOLD_FMR_1E_3",
        "THRESHOLD_FMR_1E_4",
    ]
    for line, row in zip(lines, found["thresholds"], strict=True):
        constant = float(line.split("=")[1].split("#")[0])
        assert 0 <= constant - row["threshold"]["value"] <= 1e-4


def test_the_values_can_be_kept(found: dict) -> None:
    assert json.loads(json.dumps(found)) == found
