"""People of three levels, as a real centre takes them: one enrolment each, of the right kind."""

import contextlib
import sqlite3
import tempfile
from pathlib import Path

import pytest

from hil.centre import PROJECTS, Centre
from hil.issuing import Issuing
from hil.net.topology import Topology
from sdbox_agent.terms import Level

pytestmark = pytest.mark.rig
LEVELS = (Level.HOST_MATCH, Level.CARD_MATCH, Level.CARD_PIN)


def test_the_centre_takes_people_of_every_level_and_starts() -> None:
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sdbox-test-")))
        root.chmod(0o755)
        issuing = Issuing()
        centre = Centre(root, stack.enter_context(Topology(vms=len(PROJECTS))), issuing)
        for n, level in enumerate(LEVELS):
            holder = issuing.holder(f"test-holder-{level.value}", seed=3 + n, level=level)
            centre.add_holder(holder, (PROJECTS[0].name,))
            if level is Level.CARD_PIN:
                assert len(holder.device.code()) == 6
        centre.start()
        stack.callback(centre.stop)
        database = stack.enter_context(
            contextlib.closing(sqlite3.connect(root / "db/centre.sqlite"))
        )
        rows = database.execute("select id, kind, reference is null from enrolments").fetchall()
        assert sorted(rows) == [
            ("enrolment-test-holder-card-match", "finger", 1),
            ("enrolment-test-holder-card-pin", "no-finger", 1),
            ("enrolment-test-holder-host-match", "finger", 0),
        ]
        told = (root / "gateway/acts").read_bytes().splitlines()
        assert len(told) == database.execute("select count(*) from acts").fetchone()[0]
