"""A box with a chip in the whole rig: its TLS key is in memory alone, and what becomes of it."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.issuing import now
from hil.operator import Watch
from hil.rig import Rig
from hil.scenarios import session
from sdbox_agent.daemon.view import View
from sdbox_centre import authority
from tests.waiting import until

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(chip=True) as one:
        one.holder = one.enrol("test-holder-01", seed=1)  # type: ignore[attr-defined]
        one.start_centre()
        yield one


def linked(rig: Rig, *, up: bool = True, code: str | None = None) -> View:
    with contextlib.closing(rig.watch()) as watch:
        return watch.until(
            lambda one: one.link is not None and one.link.up is up and one.link.code == code, "link"
        )


def given(rig: Rig) -> int:
    """How many TLS keys the centre has certified."""
    with contextlib.closing(sqlite3.connect(rig.centre.root / "db/centre.sqlite")) as db:
        ((count,),) = db.execute(
            "SELECT count(*) FROM trace WHERE act = 'vouch' AND code = 'done'"
        ).fetchall()
    return count


def test_a_centre_away_at_the_start_is_said_and_asked_again(rig: Rig) -> None:
    rig.centre.end_api()
    rig.start_box()
    linked(rig, up=False, code="centre-unreachable")
    rig.centre.start_api()
    linked(rig)
    assert given(rig) == 1


def test_no_file_and_no_descriptor_of_the_box_holds_a_private_key(rig: Rig) -> None:
    root = rig.box.paths.root
    kept = {path.name for path in (rig.box.paths.config / "identity").iterdir()}
    assert kept == {"statement.pem", "statement.tpm"}
    looked = 0
    for path in filter(Path.is_file, root.rglob("*")):
        held = path.read_bytes()  # the chip's own, wrapped, is a "TSS2 PRIVATE KEY"
        assert b"BEGIN PRIVATE KEY" not in held, path
        assert b"BEGIN EC PRIVATE KEY" not in held, path
        looked += 1
    assert looked > 10
    core = Path(f"/proc/{rig.box.pid('sdbox-agent')}")
    descriptors = [str(each.readlink()) for each in (core / "fd").iterdir()]
    assert any(each.startswith("socket:") for each in descriptors)
    assert not [each for each in descriptors if "memfd" in each]
    limits = (core / "limits").read_text()
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]


def test_a_session_outlives_the_api_and_the_boxes_authority(rig: Rig) -> None:
    """A restart takes what it gave before; another authority does not, and is asked anew."""
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.until(session.ready, "readiness")
        seen = session.enter(rig, watch, rig.holder)  # type: ignore[attr-defined]
        assert (seen.state, seen.code) == ("open", None)
        rig.centre.end_api()
        linked(rig, up=False, code="centre-unreachable")
        rig.centre.start_api()
        assert linked(rig).state == "open"
        assert given(rig) == 1
        rig.centre.end_api()
        new = authority.authority("Test box authority", now())
        (rig.centre.root / "boxes.pem").write_bytes(authority.pem_of(new.certificate))
        (rig.centre.root / "boxes.key").write_bytes(authority.key_pem(new.key))
        rig.centre.start_api()
        until(lambda: given(rig) == 2)
        assert linked(rig).state == "open"
        session.leave(rig, watch)


def test_a_box_that_staff_suspend_is_cut_and_its_next_key_is_refused(rig: Rig) -> None:
    linked(rig)
    before = given(rig)
    with rig.centre.acting() as staff:
        staff.suspend_box(rig.box.name)
    with contextlib.closing(rig.watch()) as watch:
        watch.until(lambda one: one.link is not None and not one.link.up, "the cut")
    rig.box.stop()
    rig.box.start()
    linked(rig, up=False, code="box-suspended")
    assert given(rig) == before
