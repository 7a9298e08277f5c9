"""A small morning at a real centre: what `make load` does with a thousand."""

import random

import pytest

from hil.load import step
from hil.load.figures import figures

pytestmark = pytest.mark.rig

BOXES = 20
LEASE_S = 16
AWAY_S = 3.0


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "FIRST_SPREAD_S", 1.0)
    monkeypatch.setattr(step, "ARRIVALS_S", 2.0)
    monkeypatch.setattr(step, "LEASE_S", LEASE_S)
    monkeypatch.setattr(step, "AWAY_S", AWAY_S)


@pytest.mark.parametrize("sqlite", [False, True], ids=["postgresql", "sqlite"])
def test_every_box_has_its_lease_renews_it_and_loses_it_when_revoked(*, sqlite: bool) -> None:
    measured = step.run(
        BOXES, random.Random(1), LEASE_S / 2 + 3, 3, restarts=not sqlite, sqlite=sqlite
    )
    row = figures(measured)
    assert {call.code for call in measured.calls} == {"done"}
    assert row["failed"] == 0
    assert row["call_ms"]["n"] == 6 * BOXES
    assert {call.box for call in measured.renewals if call.code == "done"} == set(range(BOXES))
    assert row["revocation_ms"]["n"] == 3
    assert row["renewal_cpu_percent"]["api"] > 0
    if sqlite:
        return
    assert row["renewal_cpu_percent"]["database"] > 0
    for name, one in measured.restarts.items():
        assert (one.before, one.after) == (BOXES - 3, BOXES - 3), name
    assert measured.outlived_s is not None
    assert measured.outlived_s < 10, "none is longer than a card signed for"
