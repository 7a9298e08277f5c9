import multiprocessing

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from sdbox_centre import tables
from sdbox_centre.store import note
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.taking import take_attempts
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S

ENGINES = BOTH


def test_an_error_that_is_logged_quotes_no_values(world: World) -> None:
    with pytest.raises(IntegrityError) as raised, world.store.begin() as tx:
        tx.execute(insert(tables.boxes), {"name": "test-box-01", "tls_sha256": b"test-secret"})
    assert "test-secret" not in str(raised.value) + repr(raised.value)


def test_a_transaction_is_whole_or_nothing(world: World) -> None:
    before = world.trace()

    def half_done() -> None:
        with world.store.begin() as tx:
            note(tx, 1, "test")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_done()
    assert world.trace() == before


def test_one_live_session_a_card_is_a_rule_of_the_table(world: World) -> None:
    w.session(world).to_open()
    with pytest.raises(IntegrityError), world.store.begin() as tx:
        tx.exec_driver_sql(
            "INSERT INTO sessions (box, boot_counter, name, state, started_s, live_until_s, card)"
            " SELECT box, boot_counter, 'again', 'proved', 0, 0, card FROM sessions"
        )


def test_two_processes_never_count_one_attempt_twice(world: World) -> None:
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    processes = [
        context.Process(target=take_attempts, args=(world.database, taken)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    got = sorted(taken.get(timeout=PATIENCE_S) for _ in range(50))
    for process in processes:
        process.join(PATIENCE_S)
    assert got == list(range(1, 51))
    assert taken.empty()


def test_no_column_could_hold_a_template_a_name_or_a_shared_key() -> None:
    names = {column.name for table in tables.metadata.tables.values() for column in table.columns}
    assert names.isdisjoint({"template", "minutiae", "psk", "private_key", "pin", "surname"})
