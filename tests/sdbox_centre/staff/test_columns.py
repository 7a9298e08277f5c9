from sdbox_centre.staff import columns, payload
from sdbox_centre.staff.ledger import Signed
from tests.sdbox_centre.staff import members as m

NO_ROW = (
    m.grant(n=2, withdrawn=True), m.order(), m.answers(), m.unlock(), m.device(), m.end_session(),
    m.window(),
)  # fmt: skip


def fact(act: payload.Act) -> columns.Fact | None:
    return columns.fact_of(Signed(act, b"id", b"", ("test-staff-01", "test-staff-02")))


def test_a_row_has_only_columns_of_its_table_and_names_its_act() -> None:
    for act in m.ACTS:
        made = fact(act)
        if act in NO_ROW:
            assert made is None
            continue
        assert made is not None
        assert made.row.keys() <= set(made.table.columns.keys())
        assert made.row["act"] == b"id"


def test_what_happens_has_no_row() -> None:
    assert [fact(act) for act in NO_ROW] == [None] * len(NO_ROW)


def test_an_enrolment_without_a_finger_names_its_motive_and_both() -> None:
    made = fact(m.enrolment(finger=False))
    assert made is not None
    said = {name: made.said[name] for name in ("kind", "motive", "proposed_by", "confirmed_by")}
    assert tuple(said.values()) == ("no-finger", "test-motive", "test-staff-01", "test-staff-02")


def test_every_fact_of_a_row_is_staffs_or_the_processes_own() -> None:
    """A column that is added belongs to one of them; which, is decided here."""
    own = {
        "holders": set(),
        "boxes": {"boot_counter", "boot_id"},
        "cards": {"failures", "not_before_s", "twice_s", "unlocks"},
        "enrolments": {"reference"},  # compared by its digest
        "projects": set(),
        "grants": set(),
        "derogations": set(),
    }
    facts = [made for made in map(fact, m.ACTS) if made is not None]
    assert {made.table.name for made in facts} == own.keys()
    for made in facts:
        assert set(made.table.columns.keys()) - made.row.keys() == own[made.table.name]
