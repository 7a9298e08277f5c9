"""What the centre remembers, as tables. Knows no rule: those stand in access and sessions.

No template in clear, no name of a holder, no pre-shared key, no secret in clear is ever a column
here. Times are UTC seconds of the centre's clock; `…_from_s` counts, `…_until_s` and `not_after_s`
do not. A date that is not there never means yes, but where it says so.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

# 64 bits on both engines: the wire's counters and UTC seconds are wider than PostgreSQL's INTEGER.
Integer: Final = sqlalchemy.Integer().with_variant(BigInteger(), "postgresql")

metadata: Final = MetaData(
    naming_convention={  # so that a migration can name what it changes, on both engines
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _act() -> Column[bytes]:
    """SHA-256 of the signed act that made a row what it is: without one it grants nothing."""
    return Column("act", LargeBinary)


holders: Final = Table(
    "holders",
    metadata,
    Column("id", String, primary_key=True),  # a pseudonym; who it is, the enrolment office knows
    _act(),
)

boxes: Final = Table(
    "boxes",
    metadata,
    Column("name", String, primary_key=True),
    Column("tls_sha256", LargeBinary, nullable=False, unique=True),  # of its TLS key: see payload
    Column("statement_certificate", LargeBinary, nullable=False),
    Column("state", String, nullable=False, server_default="active"),
    # ordered | active | suspended | retired
    Column("boot_counter", Integer, nullable=False, server_default=text("0")),  # highest seen
    Column("boot_id", String),
    Column("host", String(200)),  # labels, for people: whose premises
    Column("place", String(200)),
    Column("voucher", String(200)),  # the host's agreement: one a box
    Column("funders", String(200)),  # who pays for it decides nothing
    Column("country", String(2)),  # ISO 3166-1 alpha-2, where it stands
    Column("placed_s", Integer),  # when it was put up and seen there
    Column("rental_from_s", Integer),
    Column("rental_until_s", Integer),
    _act(),
)

issued: Final = Table(  # to boxes, for the token of their order; no row grants anything
    "issued",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),  # spent for this key, and no other
    Column("purpose", String, primary_key=True),  # tls | statement
    Column("box", String, nullable=False),
    Column("key_sha256", LargeBinary, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("at_s", Integer, nullable=False),
)

places: Final = Table(  # whether each box is where it was placed: see places.py
    "places",
    metadata,
    Column("box", ForeignKey("boxes.name"), primary_key=True),
    Column("placed_s", Integer, nullable=False),  # the box's, that all of this is since
    Column("salt", LargeBinary, nullable=False),
    Column("network", LargeBinary),  # it came from first: salted hash
    Column("moved_s", Integer),  # when it came from another
    Column("said_moved_s", Integer),  # when the box first said so of itself
    Column("said_altered_s", Integer),
)

derogations: Final = Table(  # boxes let in although they were moved or altered
    "derogations",
    metadata,
    Column("box", ForeignKey("boxes.name"), primary_key=True),
    Column("until_s", Integer, nullable=False),
    _act(),
)

reports: Final = Table(  # what boxes said of themselves, for staff; no row grants anything
    "reports",
    metadata,
    Column("box", String, primary_key=True),
    Column("at_s", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

cards: Final = Table(
    "cards",
    metadata,
    Column("auth_sha256", LargeBinary, primary_key=True),  # 9A: its name in every room
    Column("key_management_sha256", LargeBinary, nullable=False, unique=True),  # 9D
    Column("card_auth_sha256", LargeBinary, nullable=False, unique=True),  # 9E
    Column("guid", LargeBinary),  # the card's own number, in its certificates
    Column("holder", ForeignKey("holders.id"), nullable=False),
    Column("revoked_s", Integer),
    Column("twice_s", Integer),  # seen in two boxes at once: refused until staff unlock it
    Column("failures", Integer, nullable=False, server_default=text("0")),  # attempts not made good
    Column("not_before_s", Integer, nullable=False, server_default=text("0")),  # the next attempt
    Column("unlocks", Integer, nullable=False, server_default=text("0")),  # by staff: only grows
    _act(),
    Index(  # issued anew, the earlier issue is revoked first
        "one_issue_of_a_card",
        "guid",
        unique=True,
        sqlite_where=text("revoked_s IS NULL"),
        postgresql_where=text("revoked_s IS NULL"),
    ),
)

enrolments: Final = Table(
    "enrolments",
    metadata,
    Column("id", String, primary_key=True),
    Column("card", ForeignKey("cards.auth_sha256"), nullable=False, unique=True),
    Column("kind", String, nullable=False, server_default="finger"),  # finger | no-finger
    Column("reference", LargeBinary),  # sealed: only the card opens it; none if the card compares
    Column("reference_sha256", LargeBinary),
    Column("not_before_s", Integer, nullable=False),
    Column("not_after_s", Integer, nullable=False),
    Column("motive", String),  # of no-finger: why, and the two who decided
    Column("proposed_by", String),
    Column("confirmed_by", String),
    _act(),
    CheckConstraint(
        "kind = 'finger' OR (kind = 'no-finger' AND reference IS NULL AND motive IS NOT NULL"
        " AND proposed_by IS NOT NULL AND confirmed_by IS NOT NULL"
        " AND proposed_by != confirmed_by)",
        name="kind",
    ),
)

ageing: Final = Table(  # of a finger's enrolment, and gone with it: see ageing.py
    "ageing",
    metadata,
    Column("enrolment", ForeignKey("enrolments.id", ondelete="CASCADE"), primary_key=True),
    Column("bands", String, nullable=False),  # of the last ten matches, space between
    Column("declined", Boolean, nullable=False),
)

acts: Final = Table(  # append-only: each row of fact names the act that made it what it is
    "acts",
    metadata,
    Column("seq", Integer, primary_key=True),  # the order in which they came
    Column("id", LargeBinary, nullable=False, unique=True),  # SHA-256 of what it says
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),  # "grant/HOLDER/PROJECT"
    Column("n", Integer, nullable=False),  # of the subject's acts
    Column("statement", LargeBinary, nullable=False),  # whole, with its signatures
    Column("at_s", Integer, nullable=False),
    UniqueConstraint("subject", "n"),
    sqlite_autoincrement=True,
)

proposals: Final = Table(  # acts that a second person has yet to sign: nothing works by them
    "proposals",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("statement", LargeBinary, nullable=False),
    Column("reference", LargeBinary),  # of an enrolment: what the desk sealed
    Column("by", String, nullable=False),  # who signed
    Column("at_s", Integer, nullable=False),
)

codes: Final = Table(
    "codes",
    metadata,
    Column("enrolment", ForeignKey("enrolments.id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),  # the secret, encrypted: see codes.py
    Column("last_step", Integer, nullable=False, server_default=text("0")),  # used, as all before
)

projects: Final = Table(
    "projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("label", String, nullable=False),
    Column("levels", String, nullable=False),  # accepted, space between
    Column("state", String, nullable=False, server_default="open"),
    # pending | open | suspended | closed
    Column("reason", String(200)),  # why it is not open, for people
    Column("tenant", String, nullable=False, server_default="public"),  # public | company: a label
    Column("funder", String(200)),  # who pays decides nothing
    Column("contract_from_s", Integer),
    Column("contract_until_s", Integer),
    Column("legal_basis", String(200)),  # its reference
    Column("legal_until_s", Integer),  # null: without an end
    Column(
        "countries", String, nullable=False, server_default=text("''")
    ),  # of boxes, space between
    Column("boxes", String),  # by name, space between; null: any box
    Column("when_moved", String, nullable=False, server_default="tell"),  # tell | hold
    _act(),
)

grants: Final = Table(
    "grants",
    metadata,
    Column("holder", ForeignKey("holders.id"), primary_key=True),
    Column("project", ForeignKey("projects.id"), primary_key=True),
    Column("role", String, nullable=False, server_default="member"),  # member | lead
    Column("undertaking_s", Integer),  # when the holder signed the project's undertaking
    Column("not_after_s", Integer),  # null: as long as the project
    _act(),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("box", ForeignKey("boxes.name"), nullable=False),
    Column("boot_counter", Integer, nullable=False),
    Column("name", String, nullable=False),  # as the box calls it
    Column("state", String, nullable=False),  # hello | proved | granted | open | ended
    Column("started_s", Integer, nullable=False),
    Column("live_until_s", Integer, nullable=False),  # without another word it is over then
    Column("card", ForeignKey("cards.auth_sha256")),
    Column("auth", LargeBinary),  # the certificates the card showed
    Column("key_management", LargeBinary),
    Column("card_auth", LargeBinary),
    Column("level", String),
    Column("card_until_s", Integer),  # the first of its certificates ends
    Column("stands_until_s", Integer),  # a fact it stands on ends: it is decided again
    Column("project", ForeignKey("projects.id")),
    Column("contested_by", ForeignKey("sessions.id")),  # its card was proved in that one meanwhile
    Column("contested_n", Integer),  # the first renewal that no signature before that can make
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("renewals", Integer, nullable=False, server_default=text("0")),
    Column("code", String),  # why it ended
    UniqueConstraint("box", "boot_counter", "name"),
    Index(
        "to_decide_again",
        "stands_until_s",
        sqlite_where=text("state != 'ended'"),
        postgresql_where=text("state != 'ended'"),
    ),
    Index(  # of the many that a box has had
        "live_of_box",
        "box",
        sqlite_where=text("state != 'ended'"),
        postgresql_where=text("state != 'ended'"),
    ),
    Index(
        "one_live_session",
        "card",
        unique=True,
        sqlite_where=text("state != 'ended'"),
        postgresql_where=text("state != 'ended'"),
    ),
)

challenges: Final = Table(
    "challenges",
    metadata,
    Column("value", LargeBinary, primary_key=True),
    Column("session", ForeignKey("sessions.id"), nullable=False, index=True),
    Column("purpose", String, nullable=False),  # proof | transaction | renew
    Column("expires_s", Integer, nullable=False, index=True),
    Column("used", LargeBinary),  # SHA-256 of call and body that used it
    Column("answer", LargeBinary),  # given again to the same bytes; of a receipt without its key
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("session", ForeignKey("sessions.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at_s", Integer, nullable=False),
    Column("code_right", Boolean),  # at card-pin alone: the verdict on the one-time code
)

receipts: Final = Table(
    "receipts",
    metadata,
    Column("session", ForeignKey("sessions.id"), primary_key=True),
    Column("statement", LargeBinary, nullable=False),  # whole, with both signatures
    Column("at_s", Integer, nullable=False),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("session", ForeignKey("sessions.id"), primary_key=True),
    Column("wg_public_key", LargeBinary, nullable=False),
    Column("until_s", Integer, nullable=False),
)

links: Final = Table(  # the box link: what was said there, both ways
    "links",
    metadata,
    Column("box", ForeignKey("boxes.name"), primary_key=True),
    Column("seq", Integer, nullable=False, server_default=text("0")),  # of the newest event
    Column("boot_counter", Integer, nullable=False, server_default=text("0")),
    Column("n", Integer, nullable=False, server_default=text("0")),  # newest message since then
    Column("health", LargeBinary),  # the last, as it came (JSON)
    Column("health_s", Integer),
)

link_messages: Final = Table(  # each box's last ones: two holders of a key repeat one another
    "link_messages",
    metadata,
    Column("box", ForeignKey("boxes.name"), primary_key=True),
    Column("boot_counter", Integer, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
)

events: Final = Table(  # for boxes: pushed at once, and again after a broken link
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("box", ForeignKey("boxes.name"), nullable=False),
    Column("seq", Integer, nullable=False),  # of this box: grows by one
    Column("kind", String, nullable=False),
    Column("body", LargeBinary, nullable=False),  # JSON
    Column("at_s", Integer, nullable=False),
    UniqueConstraint("box", "seq"),
    sqlite_autoincrement=True,
)

announced: Final = Table(  # the newest that all boxes were told of
    "announced",
    metadata,
    Column("kind", String, primary_key=True),
    Column("value", String, nullable=False),
)

trace: Final = Table(
    "trace",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at_s", Integer, nullable=False),
    Column("act", String, nullable=False),
    Column("code", String, nullable=False),  # "done", or why not
    Column("box", String),
    Column("session", String),
    Column("card", LargeBinary),
    Column("level", String),
    Column("project", String),
    Column("post_quantum", String),  # of a lease: how its tunnel's preshared key was made
    Column("what", String),  # of a delivery: policy, reference, list
    Column("sha256", LargeBinary),  # of what was handed over
    Column("motive", String),  # of a staff act
    Column("staff", String),  # where two are needed: who proposed
    Column("second", String),  # and who confirmed
    sqlite_autoincrement=True,
)

taken: Final = Table(  # one row: how often something was taken away for good, see memory.py
    "taken",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
)
