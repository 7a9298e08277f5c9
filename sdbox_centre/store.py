"""The database [door]: one writer at a time, each rule one statement, everything on disk when told.

SQLite in WAL mode with synchronous=FULL: what was committed outlives a power cut, so no attempt is
ever given back. A transaction begins with BEGIN IMMEDIATE: reads and writes in it are of one state.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy
from sqlalchemy import bindparam, insert
from sqlalchemy.pool import StaticPool

from sdbox_centre import tables

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

BUSY_MS: Final = 10_000  # another process (staff's tool) may hold the database that long
_TRACE: Final = insert(tables.trace).values(
    {name: bindparam(name) for name in tables.trace.columns.keys() if name != "seq"}  # noqa: SIM118
)

_ABOUT: Final = frozenset(tables.trace.columns.keys()) - {"seq", "at_s", "act", "code"}


class Store:
    """The centre's memory. One connection and one lock: transactions of a process never overlap."""

    def __init__(self, path: Path) -> None:
        self._engine = sqlalchemy.create_engine(
            f"sqlite:///{path}",
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
            hide_parameters=True,  # an error that is logged quotes the question, no answer to it
        )
        self._lock = threading.Lock()
        sqlalchemy.event.listen(self._engine, "connect", _prepare)
        sqlalchemy.event.listen(self._engine, "begin", _begin)

    def create(self) -> None:
        """Make the tables that are not there yet."""
        with self._lock:
            tables.metadata.create_all(self._engine)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back by any exception."""
        with self._lock, self._engine.begin() as tx:
            yield tx

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def note(tx: Connection, now_s: int, act: str, code: str = "done", **about: Any) -> None:  # noqa: ANN401
    """Write a line of the trace; `about` names columns of it."""
    row = dict.fromkeys(_ABOUT)
    tx.execute(_TRACE, {**row, "at_s": now_s, "act": act, "code": code, **about})


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, see _begin
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_MS}",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
