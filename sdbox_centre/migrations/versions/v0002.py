"""the facts of access, signed acts, the box link, deliveries, what was taken away."""

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
        "acts",
        sa.Column("seq", Integer, nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("n", Integer, nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_acts")),
        sa.UniqueConstraint("id", name=op.f("uq_acts_id")),
        sa.UniqueConstraint("subject", "n", name=op.f("uq_acts_subject_n")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "announced",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_announced")),
    )
    op.create_table(
        "taken",
        sa.Column("id", Integer, nullable=False),
        sa.Column("n", Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taken")),
    )
    op.create_table(
        "events",
        sa.Column("id", Integer, nullable=False),
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("seq", Integer, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.ForeignKeyConstraint(["box"], ["boxes.name"], name=op.f("fk_events_box")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("box", "seq", name=op.f("uq_events_box_seq")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "link_messages",
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("boot_counter", Integer, nullable=False),
        sa.Column("n", Integer, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["box"], ["boxes.name"], name=op.f("fk_link_messages_box")),
        sa.PrimaryKeyConstraint("box", "boot_counter", "n", name=op.f("pk_link_messages")),
    )
    op.create_table(
        "links",
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("seq", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("boot_counter", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("n", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("health", sa.LargeBinary(), nullable=True),
        sa.Column("health_s", Integer, nullable=True),
        sa.ForeignKeyConstraint(["box"], ["boxes.name"], name=op.f("fk_links_box")),
        sa.PrimaryKeyConstraint("box", name=op.f("pk_links")),
    )
    with op.batch_alter_table("boxes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("host", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("place", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("voucher", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("funders", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("country", sa.String(length=2), nullable=True))
        batch_op.add_column(sa.Column("placed_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("rental_from_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("rental_until_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("act", sa.LargeBinary(), nullable=True))

    with op.batch_alter_table("cards", schema=None) as batch_op:
        batch_op.add_column(sa.Column("guid", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("twice_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("act", sa.LargeBinary(), nullable=True))
        batch_op.create_index(
            "one_issue_of_a_card",
            ["guid"],
            unique=True,
            sqlite_where=sa.text("revoked_s IS NULL"),
            postgresql_where=sa.text("revoked_s IS NULL"),
        )

    with op.batch_alter_table("challenges", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_challenges_expires_s"), ["expires_s"], unique=False)

    with op.batch_alter_table("enrolments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("act", sa.LargeBinary(), nullable=True))

    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.add_column(sa.Column("role", sa.String(), server_default="member", nullable=False))
        batch_op.add_column(sa.Column("undertaking_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("not_after_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("act", sa.LargeBinary(), nullable=True))

    with op.batch_alter_table("holders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("act", sa.LargeBinary(), nullable=True))

    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reason", sa.String(length=200), nullable=True))
        batch_op.add_column(
            sa.Column("tenant", sa.String(), server_default="public", nullable=False)
        )
        batch_op.add_column(sa.Column("funder", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("contract_from_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("contract_until_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("legal_basis", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("legal_until_s", Integer, nullable=True))
        batch_op.add_column(
            sa.Column("countries", sa.String(), server_default=sa.text("('')"), nullable=False)
        )
        batch_op.add_column(sa.Column("boxes", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("act", sa.LargeBinary(), nullable=True))

    # Proposals of before were signed by nobody: whoever still waits for one, proposes it anew.
    op.drop_table("proposals")
    op.create_table(
        "proposals",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("card_until_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("stands_until_s", Integer, nullable=True))
        batch_op.add_column(sa.Column("contested_by", Integer, nullable=True))
        batch_op.add_column(sa.Column("contested_n", Integer, nullable=True))
        batch_op.create_index(
            "to_decide_again",
            ["stands_until_s"],
            unique=False,
            sqlite_where=sa.text("state != 'ended'"),
            postgresql_where=sa.text("state != 'ended'"),
        )
        batch_op.create_index(
            "live_of_box",
            ["box"],
            unique=False,
            sqlite_where=sa.text("state != 'ended'"),
            postgresql_where=sa.text("state != 'ended'"),
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_sessions_contested_by"), "sessions", ["contested_by"], ["id"]
        )

    with op.batch_alter_table("trace", schema=None) as batch_op:
        batch_op.add_column(sa.Column("what", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("sha256", sa.LargeBinary(), nullable=True))
