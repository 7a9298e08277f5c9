"""Access at the centre."""

import sqlalchemy as sa
from alembic import op

from sdbox_centre.migrations import Integer

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "taken",
        sa.Column("id", Integer, nullable=False),
        sa.Column("n", Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taken")),
    )
    with op.batch_alter_table("challenges", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_challenges_expires_s"), ["expires_s"], unique=False)
