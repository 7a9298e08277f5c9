import pytest

from sdbox_centre import tables
from sdbox_centre.upsert import Upsert
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World

ENGINES = BOTH
ROW = {"enrolment": "test-enrolment-01", "sealed": b"first", "last_step": 7}


@pytest.mark.parametrize(
    ("upsert", "kept"),
    [
        (Upsert(tables.codes), (b"first", 7)),
        (Upsert(tables.codes, ["sealed"]), (b"second", 7)),
        (Upsert(tables.codes, ["sealed"], {"last_step": 0}), (b"second", 0)),
    ],
    ids=["as it was", "replaced", "fixed"],
)
def test_a_row_that_is_there(world: World, upsert: Upsert, kept: tuple[bytes, int]) -> None:
    with world.store.begin() as tx:
        upsert.run(tx, ROW)
        upsert.run(tx, {**ROW, "sealed": b"second", "last_step": 9})
        found = tx.exec_driver_sql("SELECT sealed, last_step FROM codes").one()
    assert tuple(found) == kept
