"""Which version of our tables a database has, and how it gets today's.

A new database is made whole from tables.py; an older one goes through sdbox_centre/migrations step
by step. Both end alike (tests/sdbox_centre/test_schema.py). Nobody works on any other version.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy
from sqlalchemy import Column, MetaData, String, Table, insert, select

from sdbox_agent.errors import Fault
from sdbox_centre import tables
from sdbox_centre.upsert import Upsert

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

MIGRATIONS: Final = Path(__file__).with_name("migrations")
FIRST: Final = "0001"  # of databases made before they said their version
_version: Final = Table(  # Alembic's, as Alembic makes it
    "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
)
_COUNTER: Final = Upsert(tables.taken)  # its one row, if it is not there


def newest() -> str:
    """The version that this code works on."""
    return max(path.stem.removeprefix("v") for path in MIGRATIONS.glob("versions/v*.py"))


def version_of(tx: Connection) -> str | None:
    """The version a database has; None if it has no table of ours yet."""
    there = set(sqlalchemy.inspect(tx).get_table_names())
    if _version.name in there:
        return tx.execute(select(_version.c.version_num)).scalar()
    return FIRST if tables.boxes.name in there else None


def check(tx: Connection) -> None:
    """Raises Fault: database-version, unless its tables are those of this code."""
    found = version_of(tx)
    if found != newest():
        raise Fault("database-version") from ValueError(f"found {found}, wanted {newest()}")


def bring(tx: Connection) -> None:
    """Make the tables, or bring older ones to the newest version, in this transaction.

    Raises Fault: database-version, if a later version of this code has been here.
    """
    found = version_of(tx)
    if found is None:
        tables.metadata.create_all(tx)
        _version.create(tx)
        tx.execute(insert(_version), {"version_num": newest()})
    elif found > newest():
        check(tx)
    elif found != newest():
        if not sqlalchemy.inspect(tx).has_table(_version.name):
            _version.create(tx)
            tx.execute(insert(_version), {"version_num": FIRST})
        _upgrade(config_for(tx), found)
    _COUNTER.run(tx, {"id": 1, "n": 0})


def config_for(tx: Connection) -> Config:
    """Alembic over our migrations, inside this transaction."""
    from alembic.config import Config  # noqa: PLC0415  half a second that few processes need

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = tx
    return config


def _upgrade(config: Config, found: str) -> None:
    from alembic import command  # noqa: PLC0415  as above

    logging.getLogger("sdbox.centre").info("database: from version %s to %s", found, newest())
    command.upgrade(config, "head")
    tx: Connection = config.attributes["connection"]
    if tx.dialect.name == "sqlite" and tx.exec_driver_sql("PRAGMA foreign_key_check").all():
        raise Fault("database-version") from ValueError("rows that refer to nothing")
