"""What becomes of rows: nothing missing means yes, and nothing counts that nobody signed for."""

import pytest

from sdbox_agent.errors import Refused
from sdbox_centre import access, facts
from sdbox_centre.core import session_of
from sdbox_centre.rows import box
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World, session


@pytest.fixture(autouse=True)
def _rows_alone(world: World) -> None:
    """What acts have to do with it, `proven` says where it is asked for."""
    world.believe_rows()


def refused(code: str):
    return pytest.raises(Refused, match=f"^{code}$")


def known(world: World, name: str, proven=w.as_written) -> access.Facts:
    """Of a live session."""
    with world.store.begin() as tx:
        row = session_of(tx, box(tx, world.box.fingerprint), name, world.clock.utc)
        return facts.gather(tx, row, facts.Shown.of(row), proven)


def write(world: World, *statements: str) -> None:
    with world.store.begin() as tx:
        for statement in statements:
            tx.exec_driver_sql(statement)


def test_what_the_tables_say_is_what_the_decision_hears(world: World) -> None:
    one = session(world)
    one.to_open()
    write(
        world,
        "UPDATE boxes SET country = 'DE', rental_from_s = 1, rental_until_s = 2",
        "UPDATE projects SET levels = 'host-match card-pin', state = 'pending', legal_until_s = 5,"
        " contract_from_s = 3, contract_until_s = 4, countries = 'FR DE', boxes = 'a b',"
        " when_moved = 'hold'",
        "INSERT INTO places (box, placed_s, salt, said_altered_s)"
        " SELECT name, placed_s, x'00', 1 FROM boxes",
        "INSERT INTO derogations (box, until_s) VALUES ('test-box-01', 9)",
        "UPDATE grants SET undertaking_s = 7, not_after_s = 6",
        "UPDATE cards SET twice_s = 8, failures = 2",
    )
    found = known(world, one.name)
    where = access.Box("test-box-01", "active", True, "DE", access.Span(1, 2), True, 9)
    assert found.box == where
    assert found.projects == (
        access.Project(
            id=w.PROJECT,
            label="Test project 01",
            levels=frozenset({"host-match", "card-pin"}),
            state="pending",
            contract=access.Span(3, 4),
            legal_until_s=5,
            countries=frozenset({"FR", "DE"}),
            boxes=frozenset({"a", "b"}),
            holds=True,
            undertaken=True,
            grant_until_s=6,
        ),
    )
    assert found.card.twice
    assert not found.card.revoked
    assert found.card.failures == 2
    assert found.enrolment.has_reference
    assert not found.enrolment.has_code


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("boxes", "placed_s", "box-not-placed"),
        ("boxes", "rental_from_s", "box-rental-not-begun"),
        ("boxes", "rental_until_s", "box-rental-not-begun"),
        ("boxes", "country", "country-not-allowed"),
        ("projects", "contract_from_s", "contract-not-open"),
        ("projects", "contract_until_s", "contract-not-open"),
        ("grants", "undertaking_s", "undertaking-missing"),
    ],
)
def test_a_date_that_is_not_there_never_means_yes(world: World, row, column, code) -> None:
    write(world, f"UPDATE {row} SET {column} = NULL")
    one = session(world)
    one.hello()
    with refused(code):
        one.prove()


def test_a_project_as_it_is_made_takes_boxes_of_no_country(world: World) -> None:
    write(world, "UPDATE projects SET countries = ''")
    one = session(world)
    one.hello()
    with refused("country-not-allowed"):
        one.prove()


def test_what_has_no_end_says_so(world: World) -> None:
    one = session(world)
    one.to_open()
    write(
        world,
        "UPDATE projects SET legal_until_s = NULL, boxes = NULL",
        "UPDATE grants SET not_after_s = NULL",
    )
    (project,) = known(world, one.name).projects
    assert project.legal_until_s == project.grant_until_s == access.FOREVER_S
    assert project.boxes is None


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("box", "box-refused"),
        ("card", "card-unknown"),
        ("enrolment", "reference-missing"),
        ("project", "no-project"),
        ("grant", "no-project"),
    ],
)
def test_a_row_that_no_act_stands_behind_is_not_there(world: World, kind: str, code: str) -> None:
    one = session(world)
    one.to_open()
    with refused(code):
        access.decide(known(world, one.name, w.all_but(kind)), world.clock.utc).choices()


def test_the_attempt_in_hand_is_no_failure_yet(world: World) -> None:
    """The tenth may be the match; at the next proof it counts."""
    write(world, "UPDATE cards SET failures = 9")
    one = session(world)
    one.hello()
    one.prove()
    assert known(world, one.name).card.failures == 9
    one.attempt()
    assert known(world, one.name).card.failures == 9
    one.receipt()
    assert known(world, one.name).card.failures == 0
    one.end()
    write(world, "UPDATE cards SET failures = 10")
    two = session(world, 2)
    two.hello()
    with refused("card-locked"):
        two.prove()


def test_who_comes_in_hears_what_ends_soon(world: World) -> None:
    def notices(n: int) -> tuple[str, ...]:
        one = session(world, n)
        one.hello()
        return one.prove().notices

    day_s = 86400
    assert notices(1) == ()
    for n, (table, column, days, notice) in enumerate(
        (
            ("enrolments", "not_after_s", 90, "enrolment-ends-90"),
            ("boxes", "rental_until_s", 30, "rental-ends-30"),
            ("projects", "contract_until_s", 7, "project-ends-7"),
        ),
        2,
    ):
        with world.store.begin() as tx:
            end_s = world.clock.utc + days * day_s
            tx.exec_driver_sql(f"UPDATE {table} SET {column} = {end_s}")
        assert notices(n)[-1] == notice
    assert notices(9) == ("enrolment-ends-90", "rental-ends-30", "project-ends-7")
