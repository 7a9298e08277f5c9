"""A report says what was, in two forms, and nothing of the very device or of a person."""

import json

import pytest

from hil.real.report import Report, Result, Step, as_json, as_page, without_serial


def report(*verdicts: str) -> Report:
    results = [
        Result(
            f"scenario-{number}",
            verdict,
            "a | b" if verdict != "passed" else "",
            steps=[Step("insert-card", "scanning", 812.5)],
            box_ms={"checking": 20.0, "comparing": 31.5},
        )
        for number, verdict in enumerate(verdicts)
    ]
    return Report(
        "wyse", 2, "2026-11-22T12:00:00Z", "a person's", {"reader": ["04e6:5116"]},
        {"kernel": "6.1"}, results,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "good"),
    [
        (("passed", "skipped"), True),
        (("passed", "failed"), False),
        (("skipped", "skipped"), False),
        ((), False),
    ],
)
def test_good_is_something_passed_and_nothing_failed(
    verdicts: tuple[str, ...], *, good: bool
) -> None:
    assert report(*verdicts).good is good


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("Identiv SCR3310 v2.0 [CCID Interface] (21121515202365) 00 00",
         "Identiv SCR3310 v2.0 [CCID Interface] 00 00"),
        ("HID Global OMNIKEY 3x21 Smart Card Reader [OMNIKEY 3x21] 00 00",
         "HID Global OMNIKEY 3x21 Smart Card Reader [OMNIKEY 3x21] 00 00"),
        ("Virtual PCD 00 01", "Virtual PCD 00 01"),
    ],
)  # fmt: skip
def test_a_readers_serial_number_is_left_out(name: str, left: str) -> None:
    assert without_serial(name) == left


def test_both_forms_say_the_same() -> None:
    made = report("passed", "failed", "skipped")
    data = json.loads(as_json(made))
    page = as_page(made)
    assert [one["verdict"] for one in data["results"]] == ["passed", "failed", "skipped"]
    assert page.startswith("# wyse (revision 2), 2026-11-22T12:00:00Z\n")
    assert "1 passed, 1 failed, 1 skipped; hands: a person's." in page
    for one in data["results"]:
        assert f"| {one['name']} | {one['verdict']} |" in page
    assert "| reader | 04e6:5116 |" in page
    assert "checking 20, comparing 32" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {3, 7, 5}, "no cell breaks its row"
