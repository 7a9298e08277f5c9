"""A database made anew and one that came through every migration are the same, with its rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy
from alembic import command
from sqlalchemy import Boolean, Connection, Integer, LargeBinary, MetaData, insert, inspect, select

from sdbox_agent.errors import Fault
from sdbox_centre import engines, schema
from sdbox_centre.engines import Database
from sdbox_centre.store import Store
from tests.sdbox_centre.databases import BOTH

ENGINES = BOTH


@pytest.fixture
def database(engine: str, directory, request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty one."""
    if engine == "sqlite":
        yield directory / "centre.db"
        return
    cluster = request.getfixturevalue("cluster")
    url = cluster.database()
    yield url
    cluster.drop(url)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


@contextmanager
def unhurried(store: Store) -> Iterator[Connection]:
    """A transaction without a call's deadlines."""
    with store._engine.connect() as tx, engines.rebuilding(tx), tx.begin():
        engines.begin(tx, alone=True)
        yield tx


@pytest.fixture
def old(store: Store) -> Store:
    """As databases were before they said their version: no version, and SQLite's no names."""
    with unhurried(store) as tx:
        command.upgrade(schema.config_for(tx), schema.FIRST)
        tx.exec_driver_sql("DROP TABLE alembic_version")
        if tx.dialect.name == "sqlite":
            _without_names(tx)
    return store


def _without_names(tx: Connection) -> None:
    made = tx.exec_driver_sql(
        "SELECT name, type, sql FROM sqlite_master WHERE sql > '' AND name NOT LIKE 'sqlite%'"
    ).all()
    for name, kind, _ in made:
        if kind == "table":
            tx.exec_driver_sql(f"DROP TABLE {name}")
    for _, _, words in sorted(made, key=lambda row: row.type, reverse=True):
        tx.exec_driver_sql(re.sub(r"CONSTRAINT \w+ ", "", words))


def shape(tx: Connection) -> dict[str, Any]:
    """What a database holds to, but for the names of its constraints."""
    look = inspect(tx)

    def where(index: dict[str, Any]) -> str:
        return str(index.get("dialect_options", {}).get(f"{tx.dialect.name}_where", ""))

    return {
        table: {
            "columns": sorted(
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in look.get_columns(table)
            ),
            "primary key": look.get_pk_constraint(table)["constrained_columns"],
            "foreign keys": sorted(
                (k["constrained_columns"], k["referred_table"], k["options"])
                for k in look.get_foreign_keys(table)
            ),
            "unique": sorted(u["column_names"] for u in look.get_unique_constraints(table)),
            "checks": sorted(
                re.sub(r"[\s()]+", " ", c["sqltext"]) for c in look.get_check_constraints(table)
            ),
            "indexes": sorted(
                (i["name"], i["column_names"], i["unique"], where(i))
                for i in look.get_indexes(table)
                if "duplicates_constraint" not in i
            ),
        }
        for table in look.get_table_names()
    }


def test_an_upgraded_database_is_as_a_new_one(
    old: Store, engine: str, directory, request: pytest.FixtureRequest
) -> None:
    old.create()
    new = Store(
        directory / "new.db"
        if engine == "sqlite"
        else request.getfixturevalue("cluster").database()
    )
    new.create()
    with unhurried(old) as tx, unhurried(new) as other:
        assert shape(tx) == shape(other)
        assert "one_live_session" in str(shape(tx)["sessions"]["indexes"])
        assert "no-finger" in str(shape(tx)["enrolments"]["checks"])
    new.close()


def test_a_migration_is_written_for_every_change_of_the_tables(store: Store) -> None:
    """If not: `make migration`."""
    store.create()
    with unhurried(store) as tx:
        command.check(schema.config_for(tx))


def filled(tx: Connection) -> dict[str, list[dict[str, Any]]]:
    """Two rows in each table."""
    there = MetaData()
    there.reflect(tx)
    for table in there.sorted_tables:
        for n in (1, 2):
            tx.execute(insert(table), {c.name: _value(c, n) for c in table.columns})
    return kept(tx)


def _value(column: sqlalchemy.Column[Any], n: int) -> object:
    target = next((key.column for key in column.foreign_keys), column)
    match target.type:
        case _ if column.name == "kind":
            return "finger"
        case Boolean():
            return True
        case Integer():
            return n
        case LargeBinary():
            return f"{target} {n}".encode()
        case _:
            return f"{target} {n}"


def kept(tx: Connection) -> dict[str, list[dict[str, Any]]]:
    there = MetaData()
    there.reflect(tx)
    return {
        table.name: [dict(row._mapping) for row in tx.execute(select(table))]
        for table in there.sorted_tables
    }


def test_an_old_database_loses_no_row(old: Store) -> None:
    """But for what one had proposed and nobody confirmed: it was not signed."""
    with unhurried(old) as tx:
        before = filled(tx)
    assert before.pop("proposals")
    old.create()
    old.check()
    with unhurried(old) as tx:
        after = kept(tx)
    assert after["proposals"] == []
    for name, rows in before.items():
        assert len(rows) == 2, name
        wanted = [row.items() for row in rows]
        found = [{(key, row[key]) for key in rows[0]} for row in after[name]]
        assert sorted(map(sorted, wanted), key=str) == sorted(map(sorted, found), key=str), name


def test_nobody_works_on_tables_of_another_version(old: Store) -> None:
    with pytest.raises(Fault, match="database-version") as caught:
        old.check()
    assert str(caught.value.__cause__) == f"found 0001, wanted {schema.newest()}"
    old.create()
    old.check()
    old.create()  # there is nothing to do
    with old.alone() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for act in (old.check, old.create):
        with pytest.raises(Fault, match="database-version"):
            act()


def test_an_empty_database_is_no_ones_to_work_on(store: Store) -> None:
    with pytest.raises(Fault, match="database-version"):
        store.check()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_an_upgrade_that_would_leave_a_row_without_its_other_is_undone(old: Store) -> None:
    with old._engine.connect() as tx:
        tx.exec_driver_sql("PRAGMA foreign_keys=OFF")
        tx.exec_driver_sql("INSERT INTO grants VALUES ('nobody', 'nothing')")
        tx.commit()
    with pytest.raises(Fault, match="database-version") as caught:
        old.create()
    assert str(caught.value.__cause__) == "rows that refer to nothing"
    with old.begin() as tx:
        assert schema.version_of(tx) == schema.FIRST
