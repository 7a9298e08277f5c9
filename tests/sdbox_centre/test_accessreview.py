"""Who may enter what, by whose act, why, and when it was last used."""

import json

import pytest

from sdbox_agent.terms import Level
from sdbox_centre import accessreview
from sdbox_centre.accessreview import YEAR_S, Act, rights
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World, session

ACT = bytes(range(32))


def signed(world: World, *tables: str) -> None:
    with world.store.begin() as tx:
        for table in tables:
            tx.exec_driver_sql(f"UPDATE {table} SET act = ?", (ACT,))


def found(world: World, at_s: int | None = None) -> dict[tuple[str, str], accessreview.Right]:
    told = Act("test-staff-01", world.clock.utc if at_s is None else at_s, "test-motive")
    with world.store.begin() as tx:
        all_of_them = rights(tx, world.clock.utc, lambda _tx, act: told if act == ACT else None)
    return {(one.what, one.name): one for one in all_of_them}


def test_every_grant_holder_box_and_project_is_listed_with_who_when_and_why(world: World) -> None:
    world.add_card(w.make_card(world.cards, 2, world.now), 2)
    signed(world, "grants", "holders", "boxes", "projects")
    listed = found(world)
    assert set(listed) == {
        ("box", "test-box-01"),
        ("grant", "test-holder-01"),
        ("grant", "test-holder-02"),
        ("holder", "test-holder-01"),
        ("holder", "test-holder-02"),
        ("project", w.PROJECT),
    }
    for one in listed.values():
        assert one.act == Act("test-staff-01", world.clock.utc, "test-motive")
        assert one.project == (w.PROJECT if one.what == "grant" else None)
        assert one.last_use_s is None
        assert not one.overdue


def test_last_use_is_of_that_holder_box_and_project(world: World) -> None:
    world.add_card(w.make_card(world.cards, 2, world.now), 2)
    one = session(world)
    one.hello()
    assert found(world)["box", "test-box-01"].last_use_s is None  # no card was proved there
    one.prove()
    shown = found(world)
    assert shown["box", "test-box-01"].last_use_s == world.clock.utc
    assert shown["holder", "test-holder-01"].last_use_s == world.clock.utc
    assert shown["grant", "test-holder-01"].last_use_s is None  # the project was not entered
    one.attempt()
    one.receipt()
    first_s = world.clock.utc
    world.clock.move(3600)
    session(world, 2).to_open()
    shown = found(world)
    for key in (("grant", "test-holder-01"), ("project", w.PROJECT), ("box", "test-box-01")):
        assert shown[key].last_use_s == world.clock.utc == first_s + 3600
    assert shown["holder", "test-holder-02"].last_use_s is None


@pytest.mark.parametrize(("age_s", "overdue"), [(YEAR_S - 1, False), (YEAR_S, True)])
def test_what_was_not_said_again_for_a_year_is_flagged(world: World, age_s, overdue) -> None:
    signed(world, "grants")
    listed = found(world, world.clock.utc - age_s)
    assert listed["grant", "test-holder-01"].overdue is overdue


def test_what_nobody_signed_for_is_flagged(world: World) -> None:
    signed(world, "grants")
    listed = found(world)
    assert not listed["grant", "test-holder-01"].overdue
    assert listed["holder", "test-holder-01"].overdue
    assert listed["holder", "test-holder-01"].act is None


def test_staffs_acts_say_by_whom_and_why(world: World) -> None:
    """One's, that of two, and of what a row names but is none."""
    world.staff.set_levels(w.PROJECT, tuple(Level))
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE grants SET act = ?", (ACT,))
        told = {one.what: one.act for one in rights(tx, world.clock.utc, world.acts.told)}
    assert told["box"] == Act("test-staff-01", world.clock.utc, "test")
    assert told["project"] == Act("test-staff-01 and test-staff-02", world.clock.utc, "test")
    assert told["grant"] is None


def test_it_is_printed_for_people(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.believe_rows()
    signed(world, "grants")
    session(world).to_open()
    said = Act("test-staff-01", 0, "test-motive")

    def told(_tx, act: bytes) -> Act | None:
        return said if act == ACT else None

    accessreview.command(world.store, world.clock.utc, told, json_wanted=False)
    head, box, grant, holder, project = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["what", "name", "project"]
    assert grant.split() == [
        "grant", "test-holder-01", w.PROJECT, "1970-01-01", "test-staff-01", "test-motive",
        world.now.date().isoformat(), "overdue",
    ]  # fmt: skip
    assert box.split() == ["box", "test-box-01", "nobody", grant.split()[-2], "overdue"]
    assert [line.split()[0] for line in (holder, project)] == ["holder", "project"]


def test_the_json_has_every_field(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    signed(world, "grants")
    said = Act("test-staff-01", 5, "test-motive")
    accessreview.command(world.store, 6, lambda _tx, _act: said, json_wanted=True)
    grant = next(one for one in json.loads(capsys.readouterr().out) if one["what"] == "grant")
    assert grant == {
        "what": "grant",
        "name": "test-holder-01",
        "project": w.PROJECT,
        "act": {"by": "test-staff-01", "at_s": 5, "why": "test-motive"},
        "last_use_s": None,
        "overdue": False,
    }
