"""The two databases a centre may stand on [door]: how each is opened, and how a transaction begins.

SQLite, for one process: WAL and synchronous=FULL, so what was committed outlives a power cut, and
BEGIN IMMEDIATE, so transactions never overlap. PostgreSQL, for more: read committed, where two
transactions do overlap; a rule is one statement, or its transaction holds the rows it has read
(box, then card, then session). What decides on many rows at once, as an act of staff does, has the
database for itself: each transaction takes one advisory lock, shared or whole.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from sdbox_agent.errors import Fault

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

Database = Path | str  # SQLite's file, or PostgreSQL's URL

URL_SCHEME: Final = "postgresql+psycopg"
BUSY_MS: Final = 10_000  # another process (staff's tool) may hold SQLite's file that long
POOL: Final = 4  # more connections than that only fight for the interpreter
CONNECT_S: Final = 3
STATEMENT_MS: Final = 3_000
LOCK_MS: Final = 2_000
IDLE_MS: Final = 5_000  # a process that stands still inside a transaction loses it
_LOCK: Final = 0x5D_B0  # the advisory lock's number; ours alone in this database
# A role's or a database's own settings must not weaken these.
_OPTIONS: Final = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "synchronous_commit": "on",
        "statement_timeout": STATEMENT_MS,
        "lock_timeout": LOCK_MS,
        "idle_in_transaction_session_timeout": IDLE_MS,
    }.items()
)


def parse(text: str, directory: Path) -> Database:
    """A setting: a file's name, or a URL. Raises Fault: config-invalid, for any other database."""
    if "://" not in text:
        return directory / text
    try:
        scheme = make_url(text).drivername
    except (ArgumentError, ValueError):
        scheme = ""
    if scheme != URL_SCHEME:
        raise Fault("config-invalid") from ValueError(f"database: a file, or {URL_SCHEME}://…")
    return text


def engine_of(database: Database) -> Engine:
    """Connects when first asked. What it logs of an error quotes the question, no answer to it."""
    if isinstance(database, Path):
        engine = sqlalchemy.create_engine(
            f"sqlite:///{database}",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
            hide_parameters=True,
        )
        sqlalchemy.event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return sqlalchemy.create_engine(
        database,
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=CONNECT_S,
        connect_args={
            "autocommit": True,  # transactions are begun by us, see begin
            "connect_timeout": CONNECT_S,
            "options": _OPTIONS,
        },
        hide_parameters=True,
    )


def begin(tx: Connection, *, alone: bool) -> None:
    """The first words of a transaction, in one round trip."""
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("BEGIN IMMEDIATE")
        return
    lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    words = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT {lock}({_LOCK})"
    tx.exec_driver_sql(words, execution_options={"no_parameters": True})


@contextmanager
def rebuilding(connection: Connection) -> Iterator[None]:
    """In here a transaction may take its time, and replace a table that others refer to."""
    off, on = {
        "sqlite": ("PRAGMA foreign_keys=OFF", "PRAGMA foreign_keys=ON"),
        "postgresql": ("SET statement_timeout=0", "RESET statement_timeout"),
    }[connection.dialect.name]
    connection.exec_driver_sql(off)
    connection.commit()
    try:
        yield
    finally:
        connection.exec_driver_sql(on)
        connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401
    connection.isolation_level = None  # transactions are begun by us, see begin
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_MS}",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
