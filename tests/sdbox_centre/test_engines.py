import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Integer
from sqlalchemy.dialects import postgresql

from sdbox_agent.errors import Fault
from sdbox_centre import engines, tables
from sdbox_centre.engines import Database
from sdbox_centre.store import Store
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S

ENGINES = BOTH
URL = "postgresql+psycopg://centre@/centre?host=/run/postgresql"
SQLITE = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
POSTGRESQL = {
    "transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "statement_timeout": "3s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
}


def test_a_setting_is_a_file_or_a_url(tmp_path: Path) -> None:
    assert engines.parse("db/centre.sqlite", tmp_path) == tmp_path / "db/centre.sqlite"
    assert engines.parse(URL, tmp_path) == URL


@pytest.mark.parametrize(
    "text", ["mysql://x/y", "postgresql://x/y", "sqlite:///x", "://", "postgresql+psycopg2://x/y"]
)
def test_any_other_database_is_no_setting(tmp_path: Path, text: str) -> None:
    with pytest.raises(Fault, match="config-invalid"):
        engines.parse(text, tmp_path)


def test_what_is_committed_is_on_the_disk(database: Database, engine: str) -> None:
    store = Store(database)
    word, wanted = ("PRAGMA", SQLITE) if engine == "sqlite" else ("SHOW", POSTGRESQL)
    with store.begin() as tx:
        found = {name: tx.exec_driver_sql(f"{word} {name}").scalar() for name in wanted}
    store.close()
    assert found == wanted


def test_a_counter_of_the_wire_fits_any_column() -> None:
    for table in tables.metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, Integer):
                there = column.type.dialect_impl(postgresql.dialect())
                assert isinstance(there, BigInteger), f"{column}: use tables.Integer"


def test_nobody_writes_beside_a_transaction_of_sqlite(tmp_path: Path) -> None:
    """BEGIN IMMEDIATE: another process waits, it does not write in between."""
    store = Store(tmp_path / "centre.db")
    store.create()
    other = sqlite3.connect(tmp_path / "centre.db", timeout=0)
    with store.begin() as tx:
        tx.exec_driver_sql("SELECT 1 FROM cards")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE cards SET failures = 9")
    other.close()
    store.close()


def test_an_act_of_staff_has_the_database_for_itself(world: World) -> None:
    """What it has decided on can't change, nor come, before it is done."""
    other, seen, acting = Store(world.database), [], threading.Event()

    def call() -> None:
        acting.wait(PATIENCE_S)
        with other.begin() as tx:
            seen.append(tx.exec_driver_sql("SELECT count(*) FROM grants").scalar())

    thread = threading.Thread(target=call)
    thread.start()
    with world.store.alone() as tx:
        acting.set()
        thread.join(0.2)  # it waits; were it let in, it would be done by now, and have seen one
        tx.exec_driver_sql("DELETE FROM grants")
    thread.join(PATIENCE_S)
    other.close()
    assert seen == [0]


def test_a_rebuild_takes_its_time_and_cascades_nothing(database: Database, engine: str) -> None:
    words, inside, after = {
        "sqlite": ("PRAGMA foreign_keys", 0, 1),
        "postgresql": ("SHOW statement_timeout", "0", "3s"),
    }[engine]
    opened = engines.engine_of(database)
    with opened.connect() as connection:
        with engines.rebuilding(connection):
            assert connection.exec_driver_sql(words).scalar() == inside
        assert connection.exec_driver_sql(words).scalar() == after
    opened.dispose()
