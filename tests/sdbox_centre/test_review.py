"""What a change does to sessions that are on: ended at once, by name, and the box is told."""

import json

import pytest
from sqlalchemy.dialects import sqlite

from sdbox_agent.errors import Refused
from sdbox_centre import review, rows
from sdbox_centre.review import Touched
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World, session

EVERYTHING = Touched()


@pytest.fixture(autouse=True)
def _rows_alone(world: World) -> None:
    """Facts are changed by hand here, one by one."""
    world.believe_rows()


def write(world: World, statement: str) -> None:
    with world.store.begin() as tx:
        tx.exec_driver_sql(statement)


def again(world: World, touched: Touched = EVERYTHING, proven=w.as_written) -> list[str]:
    with world.store.begin() as tx:
        return review.review(tx, world.clock.utc, touched, proven)


def told(world: World) -> list[tuple[str, int, str, dict]]:
    with world.store.begin() as tx:
        rows = tx.exec_driver_sql("SELECT box, seq, kind, body FROM events ORDER BY box, seq")
        return [(row.box, row.seq, row.kind, json.loads(row.body)) for row in rows]


CHANGES = [
    ("UPDATE cards SET revoked_s = 1", "card-revoked"),
    ("UPDATE cards SET twice_s = 1", "card-twice"),
    ("UPDATE cards SET failures = 10", "card-locked"),
    ("UPDATE enrolments SET not_after_s = 1", "enrolment-expired"),
    ("UPDATE enrolments SET reference = NULL", "level-not-accepted"),
    ("UPDATE boxes SET state = 'suspended'", "box-suspended"),
    ("UPDATE boxes SET state = 'retired'", "box-retired"),
    ("UPDATE boxes SET rental_until_s = 1", "box-rental-ended"),
    ("UPDATE boxes SET country = 'US'", "country-not-allowed"),
    ("UPDATE projects SET state = 'suspended'", "project-suspended"),
    ("UPDATE projects SET contract_until_s = 1", "contract-ended"),
    ("UPDATE projects SET legal_until_s = 1", "legal-basis-expired"),
    ("UPDATE projects SET boxes = 'test-box-02'", "box-not-of-project"),
    ("UPDATE projects SET levels = 'card-match'", "level-not-accepted"),
    ("UPDATE grants SET undertaking_s = NULL", "undertaking-missing"),
    ("UPDATE grants SET not_after_s = 1", "grant-ended"),
    ("DELETE FROM grants", "project-not-granted"),
]


@pytest.mark.parametrize(("change", "code"), CHANGES)
def test_a_session_that_no_longer_stands_ends_with_the_decision_s_code(
    world: World, change: str, code: str
) -> None:
    one = session(world)
    one.to_open()
    assert again(world) == []
    write(world, change)
    key = f"{world.box.name}/{one.name}"
    assert again(world) == [key]
    assert again(world) == []
    assert world.trace()[-1] == ("end", code)
    assert told(world) == [(world.box.name, 1, "revoked", {"session": one.name, "code": code})]
    world.centre.evict([key])
    with pytest.raises(Refused, match=r"^(session-closed|box-suspended|box-retired)$"):
        one.renew()


def test_a_session_that_has_proved_and_not_entered_is_decided_again_too(world: World) -> None:
    one = session(world)
    one.hello()
    one.prove()
    write(world, "UPDATE projects SET state = 'closed'")
    assert again(world) == []  # it entered none: the receipt asks
    write(world, "UPDATE cards SET revoked_s = 1")
    assert len(again(world)) == 1


def test_a_session_begun_before_the_tables_knew_its_card_s_end_is_over(world: World) -> None:
    session(world).to_open()
    write(world, "UPDATE sessions SET card_until_s = NULL, stands_until_s = NULL")
    assert len(again(world)) == 1
    assert world.trace()[-1] == ("end", "card-expired")


def second(world: World) -> w.Box:
    """Another box with a session of another holder on it."""
    box, card = w.make_box(world.boxes, 2, world.now), w.make_card(world.cards, 2, world.now)
    world.add_box(box)
    world.admit(card, 2)
    world.write_project([world.card, card])
    other = session(world, box=box, card=card)
    other.hello()
    other.prove()
    other.attempt()
    other.receipt(enrolment="test-enrolment-02")
    return box


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"holder": "test-holder-01"}, {"holder": "test-holder-02"}),
        ({"box": "test-box-01"}, {"box": "test-box-02"}),
        ({"project": w.PROJECT}, {"project": "test-project-02"}),
        ({"holder": "test-holder-01", "project": w.PROJECT}, {"box": "test-box-02"}),
    ],
)
def test_a_change_is_looked_for_where_it_touched(world: World, one, other) -> None:
    session(world).to_open()
    second(world)
    write(world, "UPDATE boxes SET placed_s = NULL WHERE name = 'test-box-01'")
    assert again(world, Touched(**other)) == []
    assert again(world, Touched(**one)) == ["test-box-01/boot-1-1"]


def test_a_card_is_touched_by_its_name(world: World) -> None:
    session(world).to_open()
    write(world, "UPDATE cards SET revoked_s = 1")
    assert again(world, Touched(card=bytes(32))) == []
    assert again(world, Touched(card=world.card.name)) == ["test-box-01/boot-1-1"]


def test_what_nobody_signed_for_ends_too(world: World) -> None:
    session(world).to_open()
    assert again(world, proven=w.all_but("grant"))
    assert world.trace()[-1] == ("end", "project-not-granted")


ENDS = [
    ("UPDATE enrolments SET not_after_s = {}", "enrolment-expired"),
    ("UPDATE boxes SET rental_until_s = {}", "box-rental-ended"),
    ("UPDATE projects SET contract_until_s = {}", "contract-ended"),
    ("UPDATE projects SET legal_until_s = {}", "legal-basis-expired"),
    ("UPDATE grants SET not_after_s = {}", "grant-ended"),
]


@pytest.mark.parametrize("known", ["before", "within"])
@pytest.mark.parametrize(("change", "code"), ENDS)
def test_a_date_that_comes_while_nobody_acts_ends_the_session(
    world: World, change: str, code: str, known: str
) -> None:
    """Whether it stood when the session began, or was set by an act within it."""
    change = change.format(world.clock.utc + 20)
    if known == "before":
        write(world, change)
    session(world).to_open()
    if known == "within":
        write(world, change)
        assert again(world) == []
    world.clock.move(19)
    review.sweep(world.centre)
    assert world.peers.peers
    world.clock.move(1)
    review.sweep(world.centre)
    assert not world.peers.peers
    assert world.trace()[-1] == ("end", code)


@pytest.mark.parametrize(
    "question",
    [
        review._DUE,
        Touched().sessions(),
        Touched(project=w.PROJECT).sessions(),
        Touched(box="test-box-01").sessions(),
        rows._LIVE_OF_BOX,
    ],
)
def test_no_question_about_live_sessions_reads_all_that_ever_were(world: World, question) -> None:
    said = question.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    values = tuple(said.params[name] for name in said.positiontup)
    with world.store.begin() as tx:
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", values).all()
    assert not [step.detail for step in plan if step.detail == "SCAN sessions"]


def test_a_sweep_goes_on_until_nobody_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "AT_ONCE", 1)
    monkeypatch.setattr(review, "_DUE", review._DUE.limit(1))
    session(world).to_open()
    second(world)
    write(world, "UPDATE projects SET contract_until_s = 1")
    write(world, "UPDATE sessions SET stands_until_s = 1")
    review.sweep(world.centre)
    assert not world.peers.peers
    assert {code for act, code in world.trace() if act == "end"} == {"contract-ended"}


def test_events_of_a_box_are_numbered_in_their_order(world: World) -> None:
    other = second(world)
    for n in (1, 2):
        session(world, n).to_open()
        write(world, "UPDATE boxes SET placed_s = NULL")
        world.centre.evict(again(world))
        write(world, "UPDATE boxes SET placed_s = 1")
    numbered = [(box, seq) for box, seq, _, _ in told(world)]
    assert numbered == [(world.box.name, 1), (world.box.name, 2), (other.name, 1)]
