"""Rows written straight into the database, and acts moved about in it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.exc import IntegrityError

from sdbox_agent.errors import Refused
from sdbox_centre import tables
from sdbox_centre.staff import columns, payload
from sdbox_centre.staff.acts import TABLES, Acts
from sdbox_centre.store import Store
from tests.sdbox_centre.conftest import MEMORY
from tests.sdbox_centre.staff import members as m


class Bench:
    """A store with staff, and every kind of row entered by an act."""

    def __init__(self, root: Path) -> None:
        self.staff = m.Members(root)
        self.store = Store(root / "centre.db")
        self.store.create()
        self.acts = self.another()
        for act in (
            m.holder(), m.box(state="active"), m.card(), m.enrolment(), m.project(), m.grant(),
            m.derogation(),
        ):  # fmt: skip
            self.enter(act)

    def another(self) -> Acts:
        """As another process has it."""
        return Acts(self.staff.source(), lambda: m.NOW_S)

    def enter(self, act: payload.Act, *signers: int) -> None:
        with self.store.begin() as tx:
            signed = self.acts.enter(tx, self.staff.signed(act, *signers))
            fact = columns.fact_of(signed)
            if fact is not None:
                key = [fact.table.c[name] == value for name, value in fact.key.items()]
                if not tx.execute(fact.table.update().where(*key).values(fact.said)).rowcount:
                    tx.execute(insert(fact.table), fact.row)

    def sql(self, text: str, *values: object) -> None:
        with self.store.begin() as tx:
            tx.exec_driver_sql(text, values)

    def found(self, kind: str, acts: Acts) -> list[bool]:
        """Of each row of that kind, whether it is believed."""
        with self.store.begin() as tx:
            rows = tx.execute(select(TABLES[kind])).all()
            return [row is not None for row in acts.proven(tx, [(kind, row) for row in rows])]

    def proven(self, *kinds: str, acts: Acts | None = None) -> None:
        for kind in kinds or TABLES:
            found = self.found(kind, acts or self.acts)
            assert found
            assert all(found), kind

    def denied(self, kind: str) -> None:
        """By a process that has seen all, and by one that starts now."""
        for acts in (self.acts, self.another()):
            assert not all(self.found(kind, acts))

    def refused(self, code: str, statement: bytes) -> None:
        with self.store.begin() as tx, pytest.raises(Refused, match=code):
            self.acts.enter(tx, statement)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as root:
        made = Bench(Path(root))
        yield made
        made.store.close()


def test_what_staff_signed_is_proven(bench: Bench) -> None:
    bench.proven()
    bench.proven(acts=bench.another())
    with bench.store.begin() as tx:
        newest = bench.acts.newest(tx, "grant/test-holder-01/test-project-01")
        assert newest is not None
        assert newest.act == m.grant()
        assert bench.acts.newest(tx, "grant/test-holder-01/other") is None


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("holder", "id = 'x'"),
        ("holder", "act = NULL"),
        ("holder", "act = x'00'"),
        ("box", "tls_sha256 = x'01'"),
        ("box", "statement_certificate = x'01'"),
        ("box", "state = 'ordered'"),
        ("box", "country = 'FR'"),
        ("box", "rental_until_s = 1"),
        ("card", "holder = 'test-holder-02'"),
        ("card", "key_management_sha256 = x'01'"),
        ("card", "unlocks = 1"),
        ("enrolment", "reference = x'01'"),
        ("enrolment", "not_after_s = not_after_s + 1"),
        ("enrolment", "kind = 'no-finger', motive = 'm', proposed_by = 'a', confirmed_by = 'b'"),
        ("project", "levels = 'card-pin host-match'"),
        ("project", "countries = 'FR'"),
        ("project", "contract_until_s = 1"),
        ("project", "when_moved = 'hold'"),
        ("derogation", "until_s = until_s + 1"),
        ("grant", "undertaking_s = 1"),
        ("grant", "holder = 'test-holder-02'"),
        ("grant", "act = (SELECT act FROM projects)"),
    ],
)
def test_a_row_that_says_something_else_grants_nothing(
    bench: Bench, kind: str, change: str
) -> None:
    bench.enter(m.holder(holder="test-holder-02"))
    bench.proven(kind)
    bench.sql(
        f"UPDATE {TABLES[kind].name} SET {change} WHERE act IS NOT NULL"
        + (" AND id = 'test-holder-02'" if kind == "holder" else "")
    )
    bench.denied(kind)


def test_a_row_written_into_the_database_grants_nothing(bench: Bench) -> None:
    bench.enter(m.holder(holder="test-holder-02"))
    for act in ("NULL", "(SELECT act FROM grants)", "(SELECT act FROM projects)"):
        bench.sql(
            "INSERT OR REPLACE INTO grants (holder, project, role, act)"
            f" VALUES ('test-holder-02', 'test-project-01', 'member', {act})"
        )
        bench.denied("grant")


@pytest.mark.parametrize(
    "change",
    ["boxes SET state = 'suspended'", "cards SET revoked_s = 1", "projects SET state = 'closed'"],
)
def test_what_the_centre_itself_took_away_is_no_forgery(bench: Bench, change: str) -> None:
    bench.sql(f"UPDATE {change}")
    bench.proven()


def test_a_revoked_card_does_not_come_back(bench: Bench) -> None:
    with bench.store.begin() as tx:
        first = tx.execute(select(tables.cards.c.act)).scalar_one()
    bench.enter(m.card(n=2, revoked=True))
    bench.proven()
    bench.sql("UPDATE cards SET revoked_s = NULL")
    bench.denied("card")
    bench.sql("UPDATE cards SET act = ?", first)
    bench.denied("card")


def test_an_old_act_does_not_stand_again(bench: Bench) -> None:
    """Its row back after a withdrawal; the withdrawal gone from the store; the old act again."""
    with bench.store.begin() as tx:
        old = tx.execute(select(tables.grants.c.act)).scalar_one()
        statement = tx.execute(
            select(tables.acts.c.statement).where(tables.acts.c.id == old)
        ).scalar_one()
    bench.enter(m.grant(n=2, withdrawn=True))
    bench.denied("grant")
    bench.refused("act-superseded", statement)
    bench.sql("DELETE FROM acts WHERE n = 2")
    assert bench.found("grant", bench.acts) == [False]  # it believes no less than it has


def test_what_rests_on_acts_that_are_gone_grants_nothing(bench: Bench) -> None:
    bench.proven()
    bench.sql("DELETE FROM acts")
    for kind in TABLES:
        assert bench.found(kind, bench.acts) == [False]  # though it has seen them


def test_one_that_is_not_proven_takes_no_other_along(bench: Bench) -> None:
    bench.proven()
    bench.sql("DELETE FROM acts WHERE kind = 'grant'")
    with bench.store.begin() as tx:
        rows = {kind: tx.execute(select(TABLES[kind])).one() for kind in TABLES}
        asked = [*rows.items(), ("box", None)]
        believed = {**rows, "grant": None}
        assert bench.acts.proven(tx, asked) == [*believed.values(), None]


def test_all_are_asked_for_at_once(bench: Bench) -> None:
    """What each question costs, and its lock, is felt when a thousand come."""
    bench.proven()
    asked = []
    with bench.store.begin() as tx:
        rows = [(kind, tx.execute(table.select()).one()) for kind, table in TABLES.items()]
        event.listen(tx, "before_cursor_execute", lambda *about: asked.append(about[2]))
        for acts, questions in ((bench.another(), 2), (bench.acts, 1)):
            asked.clear()
            assert None not in acts.proven(tx, rows)
            assert len(asked) == questions


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ("subject = 'grant/x/y'", "grant/x/y"),
        ("n = 2", "grant/test-holder-01/test-project-01"),
        ("id = x'00'", "grant/test-holder-01/test-project-01"),
        ("statement = x'00'", "grant/test-holder-01/test-project-01"),
    ],
)
def test_an_act_stands_under_its_own_name_and_number(
    bench: Bench, change: str, subject: str
) -> None:
    bench.sql(f"UPDATE acts SET {change} WHERE kind = 'grant'")
    assert bench.found("grant", bench.another()) == [False]
    with bench.store.begin() as tx:
        assert bench.another().newest(tx, subject) is None


def test_one_of_two_who_must_sign_can_not_leave_the_other_out(bench: Bench) -> None:
    """Not even with the database: the acts before it say that it was a second enrolment."""
    again = m.enrolment(n=2, not_after_s=m.NOW_S + 5)
    for statement in (bench.staff.signed(again), bench.staff.signed(again, 1, 1)):
        bench.refused("two-persons-needed", statement)
    row = {
        "id": payload.id_of(again),
        "kind": "enrolment",
        "subject": again.subject,
        "n": 2,
        "statement": bench.staff.signed(again),
        "at_s": 0,
    }
    with bench.store.begin() as tx:
        tx.execute(insert(tables.acts), row)
        tx.execute(tables.enrolments.update().values(act=row["id"], not_after_s=again.not_after_s))
    bench.denied("enrolment")


def test_an_enrolment_is_of_its_cards_holder(bench: Bench) -> None:
    """Or one person alone could enrol another finger for somebody, under a holder he made up."""
    bench.enter(m.holder(holder="made-up"))
    bench.sql("DELETE FROM enrolments")
    bench.enter(m.enrolment(holder="made-up", enrolment="e9"))
    bench.denied("enrolment")


def test_an_unlock_is_counted_by_its_acts(bench: Bench) -> None:
    bench.enter(m.unlock(), 1, 2)
    bench.denied("card")
    bench.sql("UPDATE cards SET unlocks = 1")
    bench.proven()


def test_what_was_rolled_back_is_forgotten(bench: Bench) -> None:
    with bench.store.begin() as tx:
        bench.acts.enter(tx, bench.staff.signed(m.grant(n=2, role="lead")))
        assert bench.acts.newest(tx, m.grant().subject).act.role == "lead"
        tx.rollback()
    assert bench.found("grant", bench.acts) == [False]
    bench.acts.forget()
    bench.proven()


def test_two_who_act_at_once_are_told_apart(bench: Bench) -> None:
    with bench.store.begin() as tx:
        bench.acts.enter(tx, bench.staff.signed(m.grant(n=2, role="lead")))
        with pytest.raises((Refused, IntegrityError)):
            bench.acts.enter(tx, bench.staff.signed(m.grant(n=2, withdrawn=True)))


def test_who_is_struck_from_the_roster_has_signed_nothing(bench: Bench) -> None:
    bench.proven()
    bench.staff.members = bench.staff.members[1:]
    bench.staff.write()
    for kind in TABLES:
        bench.denied(kind)


def test_what_lacks_a_signature_is_told_from_what_does_not(bench: Bench) -> None:
    with bench.store.begin() as tx:
        for signers, enough in (((1,), False), ((1, 2), True)):
            said = bench.staff.signed(m.unlock(), *signers)
            assert bench.acts.proposed(tx, said)[1] is enough
