"""The tables as they were before they said their version."""

import sqlalchemy as sa
from alembic import op

from sdbox_centre.migrations import Integer

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From the version before."""
    op.create_table(
        "boxes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("tls_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("statement_certificate", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), server_default="active", nullable=False),
        sa.Column("boot_counter", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_boxes")),
        sa.UniqueConstraint("tls_sha256", name=op.f("uq_boxes_tls_sha256")),
    )
    op.create_table(
        "holders",
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holders")),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("levels", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="open", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_table(
        "trace",
        sa.Column("seq", Integer, nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("box", sa.String(), nullable=True),
        sa.Column("session", sa.String(), nullable=True),
        sa.Column("card", sa.LargeBinary(), nullable=True),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("post_quantum", sa.String(), nullable=True),
        sa.Column("motive", sa.String(), nullable=True),
        sa.Column("staff", sa.String(), nullable=True),
        sa.Column("second", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_trace")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cards",
        sa.Column("auth_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("key_management_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("card_auth_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("revoked_s", Integer, nullable=True),
        sa.Column("failures", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("not_before_s", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("unlocks", Integer, server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["holder"], ["holders.id"], name=op.f("fk_cards_holder")),
        sa.PrimaryKeyConstraint("auth_sha256", name=op.f("pk_cards")),
        sa.UniqueConstraint("card_auth_sha256", name=op.f("uq_cards_card_auth_sha256")),
        sa.UniqueConstraint("key_management_sha256", name=op.f("uq_cards_key_management_sha256")),
    )
    op.create_table(
        "grants",
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["holder"], ["holders.id"], name=op.f("fk_grants_holder")),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name=op.f("fk_grants_project")),
        sa.PrimaryKeyConstraint("holder", "project", name=op.f("pk_grants")),
    )
    op.create_table(
        "enrolments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("card", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), server_default="finger", nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=True),
        sa.Column("reference_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("not_before_s", Integer, nullable=False),
        sa.Column("not_after_s", Integer, nullable=False),
        sa.Column("motive", sa.String(), nullable=True),
        sa.Column("proposed_by", sa.String(), nullable=True),
        sa.Column("confirmed_by", sa.String(), nullable=True),
        sa.CheckConstraint(
            "kind = 'finger' OR (kind = 'no-finger' AND reference IS NULL AND motive IS NOT NULL AND proposed_by IS NOT NULL AND confirmed_by IS NOT NULL AND proposed_by != confirmed_by)",
            name=op.f("ck_enrolments_kind"),
        ),
        sa.ForeignKeyConstraint(["card"], ["cards.auth_sha256"], name=op.f("fk_enrolments_card")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
        sa.UniqueConstraint("card", name=op.f("uq_enrolments_card")),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("card", sa.LargeBinary(), nullable=False),
        sa.Column("motive", sa.String(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_s", Integer, nullable=False),
        sa.Column("not_after_s", Integer, nullable=False),
        sa.ForeignKeyConstraint(["card"], ["cards.auth_sha256"], name=op.f("fk_proposals_card")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", Integer, nullable=False),
        sa.Column("box", sa.String(), nullable=False),
        sa.Column("boot_counter", Integer, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("started_s", Integer, nullable=False),
        sa.Column("live_until_s", Integer, nullable=False),
        sa.Column("card", sa.LargeBinary(), nullable=True),
        sa.Column("auth", sa.LargeBinary(), nullable=True),
        sa.Column("key_management", sa.LargeBinary(), nullable=True),
        sa.Column("card_auth", sa.LargeBinary(), nullable=True),
        sa.Column("level", sa.String(), nullable=True),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("attempts", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("renewals", Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["box"], ["boxes.name"], name=op.f("fk_sessions_box")),
        sa.ForeignKeyConstraint(["card"], ["cards.auth_sha256"], name=op.f("fk_sessions_card")),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name=op.f("fk_sessions_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint(
            "box", "boot_counter", "name", name=op.f("uq_sessions_box_boot_counter_name")
        ),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(
            "one_live_session",
            ["card"],
            unique=True,
            sqlite_where=sa.text("state != 'ended'"),
            postgresql_where=sa.text("state != 'ended'"),
        )

    op.create_table(
        "ageing",
        sa.Column("enrolment", sa.String(), nullable=False),
        sa.Column("bands", sa.String(), nullable=False),
        sa.Column("declined", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enrolment"], ["enrolments.id"], name=op.f("fk_ageing_enrolment"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("enrolment", name=op.f("pk_ageing")),
    )
    op.create_table(
        "attempts",
        sa.Column("session", Integer, nullable=False),
        sa.Column("number", Integer, nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.Column("code_right", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_attempts_session")),
        sa.PrimaryKeyConstraint("session", "number", name=op.f("pk_attempts")),
    )
    op.create_table(
        "challenges",
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("session", Integer, nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("expires_s", Integer, nullable=False),
        sa.Column("used", sa.LargeBinary(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_challenges_session")),
        sa.PrimaryKeyConstraint("value", name=op.f("pk_challenges")),
    )
    with op.batch_alter_table("challenges", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_challenges_session"), ["session"], unique=False)

    op.create_table(
        "codes",
        sa.Column("enrolment", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", Integer, server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["enrolment"], ["enrolments.id"], name=op.f("fk_codes_enrolment")),
        sa.PrimaryKeyConstraint("enrolment", name=op.f("pk_codes")),
    )
    op.create_table(
        "leases",
        sa.Column("session", Integer, nullable=False),
        sa.Column("wg_public_key", sa.LargeBinary(), nullable=False),
        sa.Column("until_s", Integer, nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_leases_session")),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_leases")),
    )
    op.create_table(
        "receipts",
        sa.Column("session", Integer, nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("at_s", Integer, nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_receipts_session")),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_receipts")),
    )
