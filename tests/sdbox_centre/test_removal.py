import pytest

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from sdbox_centre import linkrows
from sdbox_centre.removal import remove_box, remove_holder
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World, session


def refused(code: str):
    return pytest.raises(Refused, match=f"^{code}$")


def left(world: World, table: str) -> int:
    with world.store.begin() as tx:
        return tx.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def test_a_holder_goes_once_no_card_and_no_grant_is_left(world: World) -> None:
    world.staff.add_holder("test-holder-02")
    world.staff.grant("test-holder-02", w.PROJECT)
    for holder in ("test-holder-01", "test-holder-02"):  # with a card; with a grant
        with refused("holder-in-use"), world.store.begin() as tx:
            remove_holder(tx, holder)
    world.staff.withdraw("test-holder-02", w.PROJECT, "over")
    with world.store.begin() as tx:
        remove_holder(tx, "test-holder-02")
    assert left(world, "holders") == 1
    with refused("not-found"), world.store.begin() as tx:
        remove_holder(tx, "test-holder-02")


def test_a_box_that_was_never_used_goes_and_any_other_stays(world: World) -> None:
    unused = w.make_box(world.boxes, 2, world.now)
    world.add_box(unused)
    one = session(world)
    one.to_open()
    with refused("box-in-use"), world.store.begin() as tx:
        remove_box(tx, world.box.name)
    one.end()
    with refused("box-in-use"), world.store.begin() as tx:
        remove_box(tx, world.box.name)  # its receipts name it
    with world.store.begin() as tx:
        remove_box(tx, unused.name)
    assert left(world, "boxes") == 1
    with refused("not-found"), world.store.begin() as tx:
        remove_box(tx, unused.name)
    with refused("box-refused"):
        session(world, box=unused).hello()


def test_a_box_that_was_heard_on_its_link_or_told_of_anything_stays(world: World) -> None:
    told = w.make_box(world.boxes, 2, world.now)
    world.add_box(told)
    world.talk().health(world.box.health(1))
    with world.store.begin() as tx:
        linkrows.tell(tx, told.name, wire.NewCrls(), world.clock.utc)
    for box in (world.box, told):
        with refused("box-in-use"), world.store.begin() as tx:
            remove_box(tx, box.name)
