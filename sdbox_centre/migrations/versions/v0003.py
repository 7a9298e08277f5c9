"""certificates issued to boxes for the token of their order."""

import sqlalchemy as sa
from alembic import op

from sdbox_centre.migrations import Integer

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "issued",
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.PrimaryKeyConstraint("token_sha256", "purpose", name=op.f("pk_issued")),
    )
