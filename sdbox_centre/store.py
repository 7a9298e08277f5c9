"""The centre's memory: transactions, whole or not at all, and the trace [door].

Each rule that two callers could break by racing is one statement, or stands behind a row that its
transaction holds: see engines. A database that is away is a Fault, at once or within seconds.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, insert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sdbox_agent.errors import Fault
from sdbox_centre import engines, memory, schema, tables
from sdbox_centre.overdue import Overdue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from sdbox_centre.memory import Memory, Taken

LONGEST_S: Final = 5.0  # a call's transaction; its box has given up by then
ALONE_S: Final = (
    30.0  # an act of staff's: it may end a thousand sessions (2.3 s, on two idle cores)
)
_TRACE: Final = insert(tables.trace).values(
    {name: bindparam(name) for name in tables.trace.columns.keys() if name != "seq"}  # noqa: SIM118
)

_ABOUT: Final = frozenset(tables.trace.columns.keys()) - {"seq", "at_s", "act", "code"}


class Away(Fault):
    """The database can't be asked, nor be told that it could not."""


class Store:
    """One database. With SQLite, transactions of a process wait for one another here."""

    def __init__(self, database: engines.Database, remembered: Memory | None = None) -> None:
        """A Path is SQLite's file, a str PostgreSQL's URL.

        Without what is `remembered`, nobody sees that an old one was restored.
        """
        self._engine = engines.engine_of(database)
        is_file = isinstance(database, Path)
        self._turn: AbstractContextManager[Any] = threading.Lock() if is_file else nullcontext()
        self._overdue = None if is_file else Overdue()
        self._memory = remembered
        self._owed: list[Taken] = []  # committed, and the disk beside it refused it
        self._owing = threading.Lock()
        self._trusted = False  # after the database was away, too: it may be another one

    def create(self) -> None:
        """Make the tables, or bring older ones to this version, however long that takes.

        Raises Away: centre-fault, as `begin`; Fault: database-version, as schema.bring.
        """
        with (
            self._faults(),
            self._turn,
            self._engine.connect() as tx,
            engines.rebuilding(tx),
            tx.begin(),
        ):
            engines.begin(tx, alone=True)
            schema.bring(tx)

    def check(self) -> None:
        """Raises Fault: database-version, unless the tables are this version's."""
        with self._transaction(alone=False, restored=True) as tx:
            schema.check(tx)

    def begin(self) -> AbstractContextManager[Connection]:
        """One transaction, of a call: committed at the end, rolled back by any exception.

        Raises Away: centre-fault, if the database is away or does not answer; database-restored,
        if it has forgotten what this centre remembers.
        """
        return self._transaction(alone=False)

    def alone(self) -> AbstractContextManager[Connection]:
        """One transaction with no other beside it: what it has read stays so until its end.

        For acts of staff, which decide on many rows. Raises Away, as `begin`.
        """
        return self._transaction(alone=True)

    @contextmanager
    def behind(self) -> Iterator[tuple[Connection, list[Taken]]]:
        """As `alone`, on a database that was restored, with what it has forgotten."""
        with self._transaction(alone=True, restored=True) as tx:
            yield tx, [] if self._memory is None else self._memory.since(memory.number(tx))

    @contextmanager
    def _transaction(self, *, alone: bool, restored: bool = False) -> Iterator[Connection]:
        most_s = ALONE_S if alone else LONGEST_S
        with self._faults(), self._turn, self._engine.connect() as tx, self._watched(tx, most_s):
            tx.info["taken"] = []
            with tx.begin():
                engines.begin(tx, alone=alone)
                if not restored:
                    self._trust(tx)
                yield tx
            self._remember(tx.info["taken"])

    def _remember(self, taken: list[Taken]) -> None:
        """What can't be kept now is owed: no call is answered, nor the same again, before it is."""
        if self._memory is None:
            return
        pending = [*self._owed, *taken]
        try:
            self._memory.keep(pending)
        except Fault:
            with self._owing:
                self._owed += taken
            raise
        if self._owed:
            with self._owing:
                self._owed = [each for each in self._owed if each not in pending]

    def _trust(self, tx: Connection) -> None:
        if self._memory is not None and not self._trusted:
            remembered = self._memory.latest()  # first: the database's may have grown meanwhile
            if memory.number(tx) < remembered:
                raise Away("database-restored")
            self._trusted = True

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, PoolTimeoutError) as error:
            self._trusted = False
            raise Away("centre-fault") from error
        except DatabaseError as error:
            if type(error) is not DatabaseError and not error.connection_invalidated:
                raise  # the database's word on a question of ours
            self._trusted = False
            raise Away("centre-fault") from error  # or SQLite's: no database, a damaged one

    def _watched(self, tx: Connection, most_s: float) -> AbstractContextManager[None]:
        if self._overdue is None:
            return nullcontext()
        descriptor = tx.connection.driver_connection.fileno()  # type: ignore[union-attr]
        return self._overdue.watch(descriptor, most_s)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()
        if self._overdue is not None:
            self._overdue.close()
        if self._memory is not None:
            self._memory.close()


def note(tx: Connection, now_s: int, act: str, code: str = "done", **about: Any) -> None:  # noqa: ANN401
    """Write a line of the trace; `about` names columns of it."""
    row = dict.fromkeys(_ABOUT)
    tx.execute(_TRACE, {**row, "at_s": now_s, "act": act, "code": code, **about})
