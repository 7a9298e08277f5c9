"""People of three levels, as a real centre takes them: one enrolment each, of the right kind."""

import sqlite3

import pytest

from hil.rig import Rig
from sdbox_agent.terms import Level

pytestmark = pytest.mark.rig


def test_the_centre_takes_people_of_every_level_and_starts() -> None:
    with Rig() as rig:
        people = {
            level: rig.enrol(f"test-holder-{level.value}", seed=3 + n, level=level)
            for n, level in enumerate((Level.HOST_MATCH, Level.CARD_MATCH, Level.CARD_PIN))
        }
        device = people[Level.CARD_PIN].device
        assert device is not None
        assert device.code().isdigit()
        rig.start_centre()
        with sqlite3.connect(rig.root / "centre/db/centre.sqlite") as database:
            rows = database.execute("select id, kind, reference is null from enrolments").fetchall()
        database.close()
        assert sorted(rows) == [
            ("enrolment-test-holder-card-match", "finger", 1),
            ("enrolment-test-holder-card-pin", "no-finger", 1),
            ("enrolment-test-holder-host-match", "finger", 0),
        ]
        projects = (rig.root / "centre/gateway/projects/p-alpha.toml").read_text()
        by_pin = next(line for line in projects.splitlines() if line.startswith("pin_cards"))
        assert by_pin.count('"') == 2
