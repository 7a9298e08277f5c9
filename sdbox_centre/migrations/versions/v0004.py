"""what boxes reported of themselves."""

import sqlalchemy as sa
from alembic import op

from sdbox_centre.migrations import Integer

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "reports",
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("box", name=op.f("pk_reports")),
    )
