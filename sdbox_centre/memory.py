"""What the centre has taken away, kept beside its database too [door]: a restored one is found out.

A back-up that is put back would give spent attempts back, and revive what was revoked since. So
each such change takes the next number of the database and, once committed and before anybody is
told, is written here with it: to a small SQLite file that no back-up is ever put over. A database
whose number is behind this file's is an old one; what then, sdbox_centre.restore says.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import select, update

from sdbox_agent.errors import Fault
from sdbox_centre.tables import taken as taken_away

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sqlalchemy import Connection

Kind = Literal["attempts", "card", "twice", "grant", "project", "box"]

BUSY_S: Final = 5.0  # another process of this machine writes
_NEXT: Final = update(taken_away).values(n=taken_away.c.n + 1).returning(taken_away.c.n)
_NUMBER: Final = select(taken_away.c.n)
_TABLE: Final = """CREATE TABLE IF NOT EXISTS taken (
    kind TEXT NOT NULL, subject TEXT NOT NULL, n INTEGER NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)) STRICT"""
_KEEP: Final = """INSERT INTO taken (n, kind, subject, value) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET n = excluded.n, value = excluded.value WHERE excluded.n > n"""


class Taken(NamedTuple):
    """Something that is no more, and how often it was (attempts) or 1."""

    n: int
    kind: Kind
    subject: str
    value: int


def take(tx: Connection, kind: Kind, subject: str, value: int = 1) -> None:
    """Number this change, to be remembered when its transaction is committed.

    The last row that a transaction holds, as all such changes wait for one another here.
    """
    n = tx.execute(_NEXT).scalar_one()
    tx.info["taken"].append(Taken(n, kind, subject, value))


def number(tx: Connection) -> int:
    """Of the database's latest such change."""
    return int(tx.execute(_NUMBER).scalar_one())


def catch_up(tx: Connection, n: int) -> None:
    """The database has now what was remembered up to `n`."""
    tx.execute(update(taken_away).values(n=n))


class Memory:
    """The file. Every method raises Fault: disk-failed, if it can't be read or written."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._file = sqlite3.connect(
                path, BUSY_S, isolation_level=None, check_same_thread=False
            )
            for words in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", _TABLE):
                self._file.execute(words)
        except sqlite3.Error as error:
            raise Fault("disk-failed") from error

    def latest(self) -> int:
        """The highest number that was ever remembered."""
        return int(self._ask("SELECT coalesce(max(n), 0) FROM taken")[0][0])

    def since(self, n: int) -> list[Taken]:
        """Everything with a higher number."""
        rows = self._ask("SELECT n, kind, subject, value FROM taken WHERE n > ? ORDER BY n", (n,))
        return [Taken(*row) for row in rows]

    def keep(self, changes: Iterable[Taken]) -> None:
        """On the disk when this returns."""
        for change in changes:
            self._ask(_KEEP, change)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _ask(self, words: str, values: tuple[object, ...] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._file.execute(words, values).fetchall()
        except sqlite3.Error as error:
            raise Fault("disk-failed") from error
