import msgspec
import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from sdbox_agent.errors import SdboxError
from sdbox_agent.terms import Level
from sdbox_centre.nofinger import DAY_S, LONGEST_S, PROPOSAL_S, Proposal
from sdbox_centre.tables import enrolments
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World, session

ENGINES = BOTH

NAME = "test-enrolment-02"
FIRST, SECOND = "test-staff-01", "test-staff-02"


def refused(code: str):
    return pytest.raises(SdboxError, match=f"^{code}$")


@pytest.fixture
def card(world: World) -> w.Card:
    made = w.make_card(world.cards, 2, world.now)
    world.add_card(made, 2)
    world.accept(Level.CARD_PIN)
    return made


def proposal(world: World, card: w.Card, **changed: object) -> Proposal:
    said = Proposal(NAME, card.certificates.auth, world.clock.utc + LONGEST_S, "scar", FIRST)
    return w.dataclasses.replace(said, **changed)


def prove(world: World, card: w.Card, n: int):
    one = session(world, n, card=card)
    one.hello()
    return one.prove()


def test_nothing_works_before_a_second_person_confirms(world: World, card: w.Card) -> None:
    with refused("reference-missing"):
        prove(world, card, 1)
    world.no_finger.propose(proposal(world, card))
    with refused("not-found"):
        world.provision(NAME)
    with refused("reference-missing"):
        prove(world, card, 2)
    for same in (FIRST, FIRST.upper()):
        with refused("two-persons-needed"):
            world.no_finger.confirm(NAME, same)
    with refused("reference-missing"):
        prove(world, card, 3)
    world.no_finger.confirm(NAME, SECOND)
    with refused("level-not-accepted"):
        prove(world, card, 4)  # no device yet
    world.provision(NAME)
    assert prove(world, card, 5).level is Level.CARD_PIN
    with refused("not-found"):
        world.no_finger.confirm(NAME, SECOND)  # there is no proposal any more


def test_all_is_traced_with_motive_and_both(world: World, card: w.Card) -> None:
    world.no_finger.propose(proposal(world, card))
    with refused("two-persons-needed"):
        world.no_finger.confirm(NAME, FIRST)
    world.no_finger.confirm(NAME, SECOND)
    world.provision(NAME)
    world.provision(NAME)
    with world.store.begin() as tx:
        lines = tx.exec_driver_sql(
            "SELECT act, code, motive, staff, second, card FROM trace ORDER BY seq DESC LIMIT 5"
        ).all()
        held = tx.exec_driver_sql(
            f"SELECT kind, motive, proposed_by, confirmed_by FROM enrolments WHERE id = '{NAME}'"
        ).one()
    assert [tuple(line)[:5] for line in reversed(lines)] == [
        ("propose-no-finger", "done", "scar", FIRST, None),
        ("confirm-no-finger", "two-persons-needed", "scar", FIRST, FIRST),
        ("confirm-no-finger", "done", "scar", FIRST, SECOND),
        ("provision-code", "done", "test", None, None),
        ("replace-code", "done", "test", None, None),
    ]
    assert {line.card for line in lines} == {card.name}
    assert tuple(held) == ("no-finger", "scar", FIRST, SECOND)


def test_what_was_refused_is_traced_as_well(world: World, card: w.Card) -> None:
    late_s = world.clock.utc + LONGEST_S + 1
    with refused("request-invalid"):
        world.no_finger.propose(proposal(world, card, not_after_s=late_s))
    with refused("not-found"):
        world.no_finger.confirm(NAME, SECOND)
    with refused("not-found"):
        world.provision(NAME)
    world.no_finger.propose(proposal(world, card))
    with refused("request-invalid"):
        world.no_finger.propose(proposal(world, card, staff=SECOND))  # is there already
    with world.store.begin() as tx:
        lines = tx.exec_driver_sql(
            "SELECT act, code, motive, staff, second, card FROM trace ORDER BY seq DESC LIMIT 5"
        ).all()
    assert [tuple(line) for line in reversed(lines)] == [
        ("propose-no-finger", "request-invalid", "scar", FIRST, None, card.name),
        ("confirm-no-finger", "not-found", None, None, SECOND, None),
        ("provision-code", "not-found", "test", None, None, None),
        ("propose-no-finger", "done", "scar", FIRST, None, card.name),
        ("propose-no-finger", "request-invalid", "scar", SECOND, None, card.name),
    ]


def test_a_proposal_ends_after_a_week(world: World, card: w.Card) -> None:
    world.no_finger.propose(proposal(world, card))
    with refused("request-invalid"):
        world.no_finger.propose(proposal(world, card, staff=SECOND))
    world.clock.move(PROPOSAL_S)
    with refused("not-found"):
        world.no_finger.confirm(NAME, SECOND)
    world.no_finger.propose(proposal(world, card, staff=SECOND))  # another takes it up
    world.clock.move(PROPOSAL_S - 1)
    world.no_finger.confirm(NAME, FIRST)


def test_it_ends_within_a_year_by_the_clock(world: World, card: w.Card) -> None:
    until_s = world.clock.utc + DAY_S
    world.no_finger.propose(proposal(world, card, not_after_s=until_s))
    world.no_finger.confirm(NAME, SECOND)
    world.provision(NAME)
    world.clock.move(DAY_S - 1)
    prove(world, card, 1)
    world.clock.move(1)
    with refused("enrolment-expired"):
        prove(world, card, 2)


def test_an_end_that_came_before_the_second_person_did_is_refused(
    world: World, card: w.Card
) -> None:
    world.no_finger.propose(proposal(world, card, not_after_s=world.clock.utc + 60))
    world.clock.move(60)
    with refused("request-invalid"):
        world.no_finger.confirm(NAME, SECOND)


@pytest.mark.parametrize(
    "change",
    [
        {"enrolment": ""},
        {"enrolment": "a/b"},
        {"enrolment": "x" * 101},
        {"staff": ""},
        {"staff": "two words"},
        {"staff": f"{FIRST}\n"},
        {"motive": " "},
        {"motive": "m" * 201},
        {"motive": "two\nlines"},
        {"motive": "\x1b[31m"},
        {"not_after_s": 0},
        {"not_after_s": 2**40},
    ],
)
def test_a_proposal_that_says_too_little_is_refused(
    world: World, card: w.Card, change: dict[str, object]
) -> None:
    with refused("request-invalid"):
        world.no_finger.propose(proposal(world, card, **change))


def test_a_proposal_is_for_a_year_at_most(world: World, card: w.Card) -> None:
    late_s = world.clock.utc + LONGEST_S + 1
    with refused("request-invalid"):
        world.no_finger.propose(proposal(world, card, not_after_s=late_s))
    world.no_finger.propose(proposal(world, card, not_after_s=late_s - 1))


def test_a_card_has_one_way_in(world: World, card: w.Card) -> None:
    """Not a second one for a card whose finger failed: staff give such a person another card."""
    for name in ("test-enrolment-09", "test-enrolment-01"):
        with refused("request-invalid"):
            world.no_finger.propose(proposal(world, world.card, enrolment=name))
    stranger = w.make_card(world.cards, 3, world.now)
    with refused("request-invalid"):
        world.no_finger.propose(proposal(world, stranger))
    bound = w.make_card(world.cards, 4, world.now, match_bound=True)
    world.add_card(bound, 4)
    with refused("level-not-accepted"):
        world.no_finger.propose(proposal(world, bound))
    with refused("card-data-invalid"):
        world.no_finger.propose(proposal(world, card, auth=b"x"))
    world.no_finger.propose(proposal(world, card))
    sealed_meanwhile = w.Validity(world.clock.utc, 2**40)
    world.staff.add_enrolment("test-enrolment-10", card.name, w.SEALED, sealed_meanwhile)
    with refused("request-invalid"):
        world.no_finger.confirm(NAME, SECOND)
    assert prove(world, card, 1).level is Level.HOST_MATCH


def test_the_name_of_a_second_person_is_a_name(world: World, card: w.Card) -> None:
    world.no_finger.propose(proposal(world, card))
    for name in ("", " ", f"{SECOND} "):
        with refused("request-invalid"):
            world.no_finger.confirm(NAME, name)


def test_a_finger_is_never_asked_for_a_code_nor_has_one(world: World) -> None:
    with refused("not-found"):
        world.provision("test-enrolment-01")
    one = session(world)
    one.hello()
    request = world.box.proof(world.card, one.name, one.challenge)
    with refused("level-not-accepted"):
        one.client.proof(msgspec.structs.replace(request, levels=(Level.CARD_PIN,)))


@pytest.mark.parametrize(
    "change",
    [
        {"reference": b"sealed"},
        {"motive": None},
        {"confirmed_by": enrolments.c.proposed_by},
        {"proposed_by": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_table_itself_keeps_the_rule(
    world: World, card: w.Card, change: dict[str, object]
) -> None:
    world.no_finger.propose(proposal(world, card))
    world.no_finger.confirm(NAME, SECOND)
    with pytest.raises(IntegrityError), world.store.begin() as tx:
        tx.execute(update(enrolments).where(enrolments.c.id == NAME).values(change))
