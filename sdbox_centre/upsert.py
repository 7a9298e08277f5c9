"""`insert … on conflict`, built once for each engine: SQLAlchemy has no word common to both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Select, Table

_DIALECTS: Final = (sqlite, postgresql)


class Upsert:
    """A new row of `table`, or its primary key's row with these columns as in the new one.

    `fixed` are columns that a row which was there gets whatever the new one says; without any
    column, a row that was there stays as it was. `rows` asks for the keys of many new ones.
    """

    def __init__(
        self,
        table: Table,
        columns: Sequence[str] = (),
        fixed: Mapping[str, Any] | None = None,
        rows: Select[Any] | None = None,
    ) -> None:
        self._built = {}
        for dialect in _DIALECTS:
            new = dialect.insert(table)
            if rows is not None:
                new = new.from_select(list(table.primary_key.columns.keys()), rows)
            anew = {name: new.excluded[name] for name in columns} | dict(fixed or {})
            self._built[dialect.__name__.rpartition(".")[2]] = (
                new.on_conflict_do_update(index_elements=table.primary_key.columns, set_=anew)
                if anew
                else new.on_conflict_do_nothing()
            )

    def run(self, tx: Connection, row: Mapping[str, Any] | None = None) -> None:
        """As one statement."""
        tx.execute(self._built[tx.dialect.name], row)
