"""What is printed: whole, in both languages, and the reason that is true."""

import math
import re

import pytest

from sdbox_agent import errors
from sdbox_agent.biometrics.comparison import Explanation, explain, prepare
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.biometrics.parameters import SIMILARITY_POWER
from sdbox_agent.fingertool import det, protocol, report, text
from sdbox_agent.fingertool.pairing import pairing
from sdbox_agent.screen import words
from tests.biometrics.templates import finger, moved
from tests.fingertool.test_protocol import trial

BOTH = pytest.mark.parametrize("language", errors.LANGUAGES)


def compared(probe: Template, reference: Template):
    a, b = prepare(probe), prepare(reference)
    found = explain(a, b)
    return found, pairing(a, b, found)


def why(found: Explanation, pairs, language: str = "en") -> str:
    lines = list(text.explanation(found, pairs, language))
    names = ("why-same", "why-other", "why-small", "why-few", "why-around", "nothing")
    said = [name for name in names if words("finger", name, language) in lines]
    assert len(said) == 1
    return said[0]


@BOTH
def test_an_explanation_has_a_row_for_every_pair(language: str) -> None:
    found, pairs = compared(moved(finger(1), 0.3, (30.0, 12.0), jitter_px=2.0), finger(1))
    lines = list(text.explanation(found, pairs, language))
    rows = lines[-len(pairs.pairs) :]
    assert [int(row.split()[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert len({len(row) for row in lines[-len(rows) - 1 :]}) == 1  # one width
    first = rows[0].split()
    assert (int(first[1]), int(first[4])) == (pairs.pairs[0].probe, pairs.pairs[0].reference)
    assert float(first[2]) == pytest.approx(pairs.pairs[0].probe_px[0] * 0.0508, abs=0.01)
    (turned,) = (m[1] for line in lines if (m := re.search(r"([-+]\d+\.\d)°,", line)))
    assert float(turned) == pytest.approx(math.degrees(-0.3), abs=1)
    product = next(line for line in lines if line.startswith("score = "))
    a, b, own = map(float, re.findall(r"\d\.\d{4}", product))
    assert a**SIMILARITY_POWER * b == pytest.approx(own, abs=1e-3)
    assert own == pytest.approx(found.score, abs=1e-4)
    assert not any(line.startswith(words("finger", "second", language)) for line in lines)


@BOTH
def test_the_other_extractors_score_is_told_where_there_is_one(language: str) -> None:
    other = moved(finger(5), 0.3, jitter_px=2.0).minutiae
    found, pairs = compared(Template(finger(1).minutiae, other),
                            Template(finger(1).minutiae, finger(5).minutiae))  # fmt: skip
    assert found.second is not None
    told = f"{words('finger', 'second', language)}: {found.second:.4f}"
    assert told in list(text.explanation(found, pairs, language))


def test_the_reason_is_the_one_that_holds() -> None:
    same = compared(moved(finger(1), 0.3), finger(1))
    assert why(*same) == "why-same"
    assert why(*compared(finger(2), finger(1))) == "why-few"
    assert why(*compared(Template(()), finger(1))) == "nothing"
    few = Template(finger(1).minutiae[:12])
    weak, pairs = compared(few, finger(2))
    assert weak.met is not None
    assert why(weak, pairs) == "why-small"
    alone = prepare(Template(finger(1).minutiae[:1], finger(1).minutiae))
    assert why(explain(alone, alone), None) == "why-other"
    met = same[0].met
    assert why(Explanation(0.01, 0.0001, 0.9, met), same[1]) == "why-around"


@BOTH
@pytest.mark.parametrize("score", [0.0, 1.0])
def test_every_threshold_decides(language: str, score: float) -> None:
    lines = list(text.decisions(score, language))
    said = words("finger", "match" if score else "no-match", language)
    assert sum(line.startswith(f"{said}  (") for line in lines) == len(protocol.thresholds())
    assert lines[0].endswith(f"{score:.4f}")


@BOTH
def test_a_poor_image_is_told_by_its_codes(language: str) -> None:
    lines = "\n".join(text.extracted(report.extracted(Template(())), language))
    assert "(finger-poor)" in lines
    assert "(reference-poor)" in lines
    good = "\n".join(text.extracted(report.extracted(finger(1)), language))
    assert good.count(words("finger", "good-enough", language)) == 2
    assert "(" not in good


@BOTH
def test_a_caption_says_the_decision_and_whose_is_which(language: str) -> None:
    found, pairs = compared(moved(finger(1), 0.3), finger(1))
    said = text.caption(found, pairs, ("a.png", "b.png"), language)
    assert said.matches
    assert said.verdict.startswith(words("finger", "match", language))
    assert (said.left[-5:], said.right[-5:]) == ("a.png", "b.png")
    other = text.caption(*compared(finger(2), finger(1)), ("a.png", "b.png"), language)
    assert not other.matches
    nothing = text.caption(*compared(Template(()), finger(1)), ("a.png", "b.png"), language)
    assert nothing.because == words("finger", "nothing", language)


@BOTH
def test_a_summary_says_each_figure_with_its_interval(language: str) -> None:
    found = protocol.summary("set", [trial(without=("1_1",))], rounds=20)
    lines = list(text.summary(found, language))
    rate = re.compile(r"^(\S+) +(\d+\.\d\d) %  (\d+\.\d\d) \.\. (\d+\.\d\d)")
    figures = {match[1]: float(match[2]) for line in lines if (match := rate.match(line))}
    assert set(figures) == {"EER", "FMR100", "FMR1000", "FMR10000", "ZeroFMR", "FMR", "FNMR"}
    assert figures["ZeroFMR"] == pytest.approx(100 * 2 / 9, abs=0.01)
    few = words("finger", "is-zero", language)
    assert sum(few in line for line in lines) == 3  # of 27 pairs none is one in a hundred
    assert sum("≤ 11 %" in line for line in lines) == len(found.thresholds)
    pooled = protocol.summary(protocol.POOLED, [trial()], rounds=5)
    assert words("finger", "pooled", language) in next(text.summary(pooled, language))


@BOTH
def test_times_are_named_and_words_are_there(language: str) -> None:
    told = text.times({"extract": 26.0, "prepare": 5.0, "compare": 1.25}, language)
    assert words("finger", "time-compare", language) + " 1.25 ms" in told
    assert text.det_words("set", language).title.endswith(": set")
    assert text.on_card(language).endswith(".")
    assert text.written("x", language).endswith(": x")
    assert det.percent(0.5) == "50 %"
