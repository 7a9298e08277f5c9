import pytest

from hil.load.box import Call
from hil.load.figures import figures, missed
from hil.load.step import Measured


def calls(boxes: int, took_ms: float, code: str = "done") -> list[Call]:
    return [
        Call(box, name, 100.0 + box, took_ms, code)
        for box in range(boxes)
        for name in ("hello", "receipt")
    ]


def test_a_step_is_told_in_the_form_that_was_asked_for() -> None:
    row = figures(
        Measured(
            4,
            calls(4, 250.0),
            renewals=[Call(0, "renew", 110.0, 20.0, "done")],
            revocation_ms=[10.0, 30.0],
            renewed_s=60.0,
            morning_cpu_s={"api": 0.08},
            renewal_cpu_s={"api": 6.0},
        )
    )
    assert row["wall_s"] == 3.25
    assert row["sessions_per_s"] == pytest.approx(4 / 3.25, abs=0.01)
    assert row["call_ms"] == {"p50": 250.0, "p95": 250.0, "p99": 250.0, "n": 8}
    assert row["failed"] == 0
    assert row["revocation_ms"] == {"p50": 10.0, "p95": 30.0, "p99": 30.0, "n": 2}
    assert row["session_cpu_ms"] == {"api": 20.0}
    assert row["renewal_cpu_percent"] == {"api": 10.0}
    assert missed({"4": row}) == []


def test_a_box_without_a_lease_has_failed() -> None:
    assert figures(Measured(3, calls(2, 1.0)))["failed"] == 1
    assert figures(Measured(2, calls(2, 1.0, "centre-fault")))["failed"] == 2


@pytest.mark.parametrize(
    ("figure", "value", "said"),
    [
        ("failed", 1, "failed 1"),
        ("wall_s", 61.0, "wall_s"),
        ("call_ms", {"p99": 501.0}, "call p99"),
        ("revocation_ms", {"p99": 2001.0}, "revocation p99"),
        ("renewal_cpu_percent", {"api": 51.0}, "renewals"),
    ],
)
def test_a_missed_aim_is_said(figure: str, value: object, said: str) -> None:
    row = figures(Measured(4, calls(4, 1.0)))
    assert missed({"4": row}) == []
    (only,) = missed({"4": {**row, figure: value}})
    assert only.startswith(f"4 boxes: {said}")
