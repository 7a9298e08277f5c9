"""What Alembic runs in: the transaction that schema has begun, on either engine."""

from typing import Any, Literal

from alembic import context

from sdbox_centre import tables


def _render(kind: str, item: Any, autogen: Any) -> str | Literal[False]:  # noqa: ANN401  Alembic's
    """Our integers by their name, everything else as Alembic writes it."""
    if kind != "type" or repr(item) != repr(tables.Integer):
        return False
    autogen.imports.add("from sdbox_centre.migrations import Integer")
    return "Integer"


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,  # SQLite alters little; what it can't, is a new table with the old rows
    render_item=_render,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
