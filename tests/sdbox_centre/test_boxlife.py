"""A box's own word on its beginning and end: kept and shown, and giving it nothing."""

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.centre.reported import Measured
from sdbox_agent.errors import Refused
from sdbox_centre import boxlife, est
from sdbox_centre.connections import fingerprint_of
from sdbox_centre.staff import payload, shown
from sdbox_centre.tables import issued
from tests.sdbox_centre.ordering import Ordered, est_of
from tests.sdbox_centre.world import World

KEYS = "ABCDE-ABCDE-ABCDE-ABCDE"


def report(box: str, **changed: object) -> wire.ReportRequest:
    said = {
        "box": box, "agent_version": "0.1.0", "profile": "virtual", "revision": 1,
        "machine": "a machine", "usb": ("04e6:5116",), "tpm": False, "keys": KEYS,
    }  # fmt: skip
    return wire.ReportRequest(**{**said, **changed})


class Machine:
    """A box that was ordered and has a certificate for each key."""

    def __init__(self, world: World) -> None:
        self.world, self.ordered = world, Ordered(world)
        self.name = self.ordered.name
        der = est.enroll(world.centre, est_of(world), self.ordered.read("tls"))
        est.enroll(world.centre, est_of(world), self.ordered.read("statement"))
        self.fingerprint = fingerprint_of(der)

    def reports(self, **changed: object) -> wire.ReportAnswer:
        said = report(**{"box": self.name, **changed})
        body = boxlife.report(self.world.centre, self.fingerprint, said, bytes(32))
        return wire.decode(body, wire.ReportAnswer)

    def retires(self, box: str | None = None) -> None:
        request = wire.RetireRequest(box=box or self.name)
        boxlife.retire(self.world.centre, self.fingerprint, request, bytes(32))


def test_an_ordered_box_reports_and_is_ordered(world: World) -> None:
    machine = Machine(world)
    assert machine.reports() == wire.ReportAnswer(state="ordered", voucher=False, placed=False)
    portal = Measured(what="portal", result="failed", code="tls-inspected")
    machine.reports(profile="other", network=(Measured(what="names", result="ok"), portal))
    with world.store.begin() as tx:
        (row,) = boxlife.told(tx)
    assert (row["name"], row["profile"], row["keys"]) == (machine.name, "other", KEYS)
    assert row["network"] == ("names=ok", "portal=tls-inspected")
    assert "names=ok portal=tls-inspected" in shown.as_table("report", [row])
    assert world.trace().count(("report", "done")) == 2


def test_it_is_active_by_staff_s_act_with_voucher_and_place(world: World) -> None:
    machine = Machine(world)
    machine.ordered.activate()
    assert machine.reports() == wire.ReportAnswer(state="active", voucher=False, placed=False)
    office = world.office
    said = {"voucher": "V-1", "place": "Room 1"}
    world.staff.enter(office.change(payload.Box, "test", box=machine.name, **said))
    assert machine.reports() == wire.ReportAnswer(state="active", voucher=True, placed=True)


def test_a_row_that_no_staff_signed_makes_no_box_active(world: World) -> None:
    machine = Machine(world)
    machine.ordered.activate()
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE boxes SET country = 'DE'")
    assert machine.reports().state == "ordered"


def test_somebody_else_s_name_or_an_unknown_key_is_refused(world: World) -> None:
    machine = Machine(world)
    with pytest.raises(Refused, match="box-refused"):
        machine.reports(box=world.box.name)
    with pytest.raises(Refused, match="box-refused"):
        machine.retires(world.box.name)
    with world.store.begin() as tx:
        tx.execute(issued.delete())
    for act in (machine.reports, machine.retires):
        with pytest.raises(Refused, match="box-refused"):
            act()


def test_a_box_that_retires_has_no_session_and_gets_no_answer(world: World) -> None:
    talk = world.talk()
    talk.hello(world.box.hello(None))
    talk.hello(world.box.hello("boot-1-1"))
    talk.retire(wire.RetireRequest(box=world.box.name))
    talk.retire(wire.RetireRequest(box=world.box.name))
    with pytest.raises(Refused, match="box-suspended"):
        talk.hello(world.box.hello("boot-1-2"))
    assert talk.report(report(world.box.name)).state == "suspended"
    assert ("end", "box-retired") in world.trace()
    assert world.trace().count(("retire", "done")) == 2


def test_an_ordered_box_may_retire_too(world: World) -> None:
    machine = Machine(world)
    machine.retires()
    assert ("retire", "done") in world.trace()


def test_a_key_from_before_takes_nobody_out_of_service(world: World) -> None:
    before = Machine(world)
    world.clock.utc += 60
    now = Machine(world)  # ordered anew, by the same name: another token, other keys
    now.ordered.activate()
    assert now.reports().state == "active"
    for act in (before.reports, before.retires):
        with pytest.raises(Refused, match="box-refused"):
            act()
    assert now.reports().state == "active"


def test_one_that_is_to_come_takes_nobody_out_of_service(world: World) -> None:
    now = Machine(world)
    now.ordered.activate()
    world.clock.utc += 60
    later = Machine(world)
    assert later.reports().state == "ordered"
    later.retires()
    assert now.world.trace().count(("retire", "done")) == 1
    assert later.reports().state == "ordered"
    with world.store.begin() as tx:
        (state,) = tx.exec_driver_sql(f"SELECT state FROM boxes WHERE name = '{now.name}'").one()
    assert state == "active"
