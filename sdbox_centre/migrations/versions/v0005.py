"""where boxes were seen, derogations for those that were moved, and which projects ask for one."""

import sqlalchemy as sa
from alembic import op

from sdbox_centre.migrations import Integer

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "places",
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("placed_s", Integer, nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("network", sa.LargeBinary(), nullable=True),
        sa.Column("moved_s", Integer, nullable=True),
        sa.Column("said_moved_s", Integer, nullable=True),
        sa.Column("said_altered_s", Integer, nullable=True),
        sa.ForeignKeyConstraint(["box"], ["boxes.name"], name=op.f("fk_places_box")),
        sa.PrimaryKeyConstraint("box", name=op.f("pk_places")),
    )
    op.create_table(
        "derogations",
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("until_s", Integer, nullable=False),
        sa.Column("act", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["box"], ["boxes.name"], name=op.f("fk_derogations_box")),
        sa.PrimaryKeyConstraint("box", name=op.f("pk_derogations")),
    )
    op.add_column(
        "projects", sa.Column("when_moved", sa.String(), server_default="tell", nullable=False)
    )
