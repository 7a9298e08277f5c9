import msgspec
import pytest
from sqlalchemy import insert, select

from hil.staff import MOTIVE
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.terms import Level
from sdbox_centre import tables
from sdbox_centre.staff import payload
from sdbox_centre.staff.ledger import FRESH_S, claimed
from sdbox_centre.staff.office import Entered, Pending
from sdbox_centre.staff.signer import countersigned, signed
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World

ENGINES = BOTH
YEAR_S = 365 * 86400
NAME = "test-enrolment-02"


def refused(code: str):
    return pytest.raises(SdboxError, match=f"^{code}$")


@pytest.fixture
def card(world: World) -> w.Card:
    """Of somebody who is not enrolled yet."""
    made = w.make_card(world.cards, 2, world.now)
    world.add_card(made, 2)
    world.accept(Level.CARD_PIN)
    return made


def without_finger(world: World, card: w.Card, **changed: object) -> payload.Enrolment:
    now_s = world.clock.utc
    said = {"holder": "test-holder-02", "card": card.name, "enrolment": NAME, "finger": False}
    dates = {"not_before_s": now_s, "not_after_s": now_s + YEAR_S}
    return world.office.draft(payload.Enrolment, "scar", **{**said, **dates, **changed})


def by(world: World, number: int):
    return world.members.members[number - 1].signer


def propose(world: World, act: payload.Act) -> Pending:
    made = world.office.offer(signed(act, by(world, 1)))
    assert isinstance(made, Pending)
    return made


def confirm(world: World, pending: Pending, number: int = 2) -> Entered:
    return world.office.confirm(pending.id, lambda said: countersigned(said, by(world, number)))


def prove(world: World, card: w.Card, n: int):
    one = w.session(world, n, card=card)
    one.hello()
    return one.prove()


def trace(world: World, count: int) -> list[tuple[object, ...]]:
    wanted = "SELECT act, code, motive, staff, second FROM trace ORDER BY seq DESC"
    with world.store.begin() as tx:
        return [tuple(row) for row in reversed(tx.exec_driver_sql(wanted).fetchmany(count))]


# -- what is made ----------------------------------------------------------------------------------


def test_nothing_is_made_twice_or_of_what_is_not_there(world: World) -> None:
    staff = world.staff
    other = w.make_card(world.cards, 2, world.now)
    for act in (
        lambda: staff.add_holder("test-holder-01"),
        lambda: staff.add_card("test-holder-01", world.card.certificates),
        lambda: staff.add_card("nobody", other.certificates),
        lambda: staff.add_box("x", world.box.tls_der, world.box.statement_der),
        lambda: staff.add_box("x", b"other", b""),
        lambda: staff.add_project(w.PROJECT, "again", [Level.HOST_MATCH]),
        lambda: staff.grant("test-holder-01", w.PROJECT),
        lambda: staff.grant("test-holder-01", "none"),
        lambda: staff.add_enrolment("e2", world.card.name, b"s", 0, 1),  # one a holder
        lambda: staff.add_enrolment("e2", bytes(32), b"s", 0, 1),
    ):
        with refused("act-impossible"):
            act()
    prove(world, world.card, 1)  # and nothing that was is harmed


def test_acts_on_what_is_not_there_are_refused(world: World) -> None:
    staff = world.staff
    ending = {"box": world.box.name, "session": "boot-9-9"}
    for act in (
        lambda: staff.revoke_card(bytes(32)),
        lambda: staff.unlock_card(bytes(32)),
        lambda: staff.suspend_box("none"),
        lambda: staff.withdraw("test-holder-01", "none"),
        lambda: staff.close_project("none"),
        lambda: staff.give_device("test-enrolment-01"),  # has a finger
        lambda: staff.enter(world.office.draft(payload.EndSession, MOTIVE, **ending)),
        lambda: world.office.confirm(bytes(32), lambda said: said),
    ):
        with refused("not-found"):
            act()


def test_a_holder_goes_once_no_card_and_no_grant_is_left_and_may_come_back(world: World) -> None:
    staff = world.staff
    staff.add_holder("test-holder-02")
    staff.grant("test-holder-02", w.PROJECT)
    for holder in ("test-holder-01", "test-holder-02"):  # with a card; with a grant
        with refused("holder-in-use"):
            staff.remove_holder(holder)
    staff.withdraw("test-holder-02", w.PROJECT)
    staff.remove_holder("test-holder-02")
    with refused("act-impossible"):
        staff.grant("test-holder-02", w.PROJECT)
    with refused("act-impossible"):
        staff.remove_holder("test-holder-02")  # gone already
    with refused("not-found"):
        staff.remove_holder("nobody")
    with world.store.begin() as tx:
        assert tx.execute(select(tables.holders.c.id)).scalars().all() == ["test-holder-01"]
    staff.add_holder("test-holder-02")
    staff.grant("test-holder-02", w.PROJECT)


def test_a_row_is_what_the_newest_act_says(world: World) -> None:
    world.staff.set_levels(w.PROJECT, (Level.CARD_MATCH,))
    world.staff.suspend_box(world.box.name)
    with world.store.begin() as tx:
        for kind, table in (("project", tables.projects), ("box", tables.boxes)):
            row = tx.execute(select(table)).one()
            assert world.acts.proven(tx, [(kind, row)]) == [row]
        assert tx.execute(select(tables.projects.c.levels)).scalar_one() == "card-match"


def test_a_reference_is_the_one_that_was_signed_for(world: World, card: w.Card) -> None:
    now_s = world.clock.utc
    said = {"holder": "test-holder-02", "card": card.name, "enrolment": NAME}
    dates = {"not_before_s": now_s, "not_after_s": now_s + 9}
    act = world.office.draft(payload.Enrolment, MOTIVE, **said, **dates, reference_sha256=bytes(32))
    for reference in (b"another", None):
        with refused("act-impossible"):
            world.staff.enter(act, reference)
    with refused("reference-missing"):
        prove(world, card, 1)


def test_another_enrolment_is_on_another_card_and_of_two(world: World) -> None:
    again = w.make_card(world.cards, 2, world.now)
    world.staff.add_card("test-holder-01", again.certificates)
    said = {"holder": "test-holder-01", "card": again.name, "enrolment": NAME}
    act = world.office.change(payload.Enrolment, "new fingers", **said)
    pending = world.office.offer(signed(act, by(world, 1)), w.SEALED)
    assert isinstance(pending, Pending)
    prove(world, world.card, 1)
    with refused("reference-missing"):
        prove(world, again, 2)
    confirm(world, pending)
    with refused("reference-missing"):
        prove(world, world.card, 3)
    assert prove(world, again, 4).enrolment == NAME


# -- what ends -------------------------------------------------------------------------------------


def test_acts_that_end_sessions_say_which(world: World) -> None:
    w.session(world).to_open()
    key = f"{world.box.name}/{world.box.boot_id}-1"
    assert world.staff.close_project(w.PROJECT, "over") == (key,)
    assert world.staff.suspend_box(world.box.name, "lost") == ()  # it had ended already
    assert [line[:3] for line in trace(world, 3)] == [
        ("project", "done", "over"),
        ("end", "project-closed", None),
        ("box", "done", "lost"),
    ]


def test_one_session_is_ended_by_name(world: World) -> None:
    one = w.session(world)
    one.to_open()
    said = {"box": world.box.name, "session": one.name}
    made = world.staff.enter(world.office.draft(payload.EndSession, "asked for", **said))
    assert made.gone == (f"{world.box.name}/{one.name}",)
    with refused("session-closed"):
        one.renew()


def test_unlocking_makes_attempts_whole_and_revives_nothing(world: World) -> None:
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE cards SET failures = 10")
    world.staff.revoke_card(world.card.name, "lost")
    world.staff.unlock_card(world.card.name)
    with refused("card-revoked"):
        prove(world, world.card, 1)


# -- two people ------------------------------------------------------------------------------------


def test_nothing_works_before_a_second_person_confirms(world: World, card: w.Card) -> None:
    pending = propose(world, without_finger(world, card))
    assert [one.id for one in world.office.pending()] == [pending.id]
    with refused("reference-missing"):
        prove(world, card, 1)
    with refused("two-persons-needed"):
        confirm(world, pending, 1)  # the same again
    with refused("reference-missing"):
        prove(world, card, 2)
    confirm(world, pending)
    with refused("level-not-accepted"):
        prove(world, card, 3)  # no device yet
    world.staff.give_device(NAME)
    assert prove(world, card, 4).level is Level.CARD_PIN
    assert world.office.pending() == []
    with refused("not-found"):
        confirm(world, pending)


def test_all_is_traced_with_motive_and_both_and_refusals_too(world: World, card: w.Card) -> None:
    pending = propose(world, without_finger(world, card))
    with refused("two-persons-needed"):
        confirm(world, pending, 1)
    confirm(world, pending)
    assert trace(world, 3) == [
        ("enrolment", "proposed", "scar", "test-staff-01", None),
        ("enrolment", "two-persons-needed", "scar", None, None),
        ("enrolment", "done", "scar", "test-staff-01", "test-staff-02"),
    ]


def test_one_person_with_two_signatures_is_one_person(world: World) -> None:
    said = {"card": world.card.name}
    act = world.office.draft(payload.Unlock, MOTIVE, **said)
    with refused("two-persons-needed"):
        world.office.offer(signed(act, by(world, 1), by(world, 1)))
    assert world.office.pending() == []


def test_what_a_struck_member_signed_two_others_say_anew(world: World) -> None:
    said = {"holder": "test-holder-09"}
    world.office.offer(signed(world.office.draft(payload.Holder, MOTIVE, **said), by(world, 3)))
    del world.members.members[2]
    world.members.write()
    subject = payload.Holder.subject_of(said)
    assert world.office.newest(subject) is None
    again = world.office.draft(payload.Holder, MOTIVE, **said)
    assert again.n == 2
    confirm(world, propose(world, again))
    assert world.office.newest(subject) == again


def test_a_proposal_ends_after_a_week(world: World, card: w.Card) -> None:
    pending = propose(world, without_finger(world, card))
    world.clock.move(FRESH_S)
    with refused("act-stale"):
        confirm(world, pending)
    propose(world, without_finger(world, card))  # somebody takes it up: the lapsed one goes
    assert len(world.office.pending()) == 1


def test_a_proposal_that_is_no_act_hides_no_other(world: World, card: w.Card) -> None:
    pending = propose(world, without_finger(world, card))
    row = {"id": bytes(32), "statement": b"{}", "by": "nobody", "at_s": world.clock.utc}
    with world.store.begin() as tx:
        tx.execute(insert(tables.proposals), {**row, "reference": None})
    assert [one.id for one in world.office.pending()] == [pending.id]


def test_somebody_elses_act_in_between_makes_a_proposal_void(world: World) -> None:
    wider = (Level.CARD_MATCH, Level.HOST_MATCH)
    said = {"project": w.PROJECT, "levels": wider}
    pending = propose(world, world.office.change(payload.Project, "more", **said))
    world.staff.close_project(w.PROJECT)
    with refused("act-superseded"):
        confirm(world, pending)


def test_without_a_finger_it_is_for_a_year_at_most(world: World, card: w.Card) -> None:
    with refused("act-impossible"):
        without_finger(world, card, not_after_s=world.clock.utc + YEAR_S + 1)
    world.staff.enrol_without_finger(NAME, card.name, world.clock.utc + YEAR_S)
    world.staff.give_device(NAME)
    world.clock.move(YEAR_S - 1)
    world.now += w.dt.timedelta(seconds=YEAR_S - 1)
    world.publish_crl()
    prove(world, card, 1)
    world.clock.move(1)
    with refused("enrolment-expired"):
        prove(world, card, 2)


# -- the gateway -----------------------------------------------------------------------------------


class Heard:
    """A gateway that notes what it was told, or is away."""

    def __init__(self) -> None:
        self.acts: list[bytes] = []
        self.removed: list[tuple[str, ...]] = []
        self.fails: SdboxError | None = None

    def act(self, statement: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        self.acts.append(statement)

    def remove(self, keys) -> None:
        self.removed.append(tuple(keys))


def test_the_gateway_is_told_and_can_be_told_again(world: World) -> None:
    heard = Heard()
    office = w.dataclasses.replace(world.office, gateway=heard)
    staff = w.Staff(office, (by(world, 1), by(world, 2)))
    w.session(world).to_open()
    gone = staff.suspend_box(world.box.name)
    assert heard.removed == [gone]
    assert claimed(heard.acts[0]).state == "suspended"
    heard.fails = Fault("centre-fault")
    staff.resume_box(world.box.name)  # holds, whether the gateway is there or not
    with refused("centre-fault"):
        office.deliver()
    heard.fails = Refused("staff-not-allowed")  # by its own roster
    assert office.deliver() == 0
    heard.fails = None
    heard.acts.clear()
    with world.store.begin() as tx:
        kept = tx.execute(select(tables.acts.c.statement).order_by(tables.acts.c.seq)).scalars()
        statements = list(kept)
    assert office.deliver() == len(statements)
    assert heard.acts == statements


def test_a_card_is_given_back_by_nobody(world: World) -> None:
    world.staff.revoke_card(world.card.name)
    revoked = world.office.newest(f"card/{world.card.name.hex()}")
    act = msgspec.structs.replace(revoked, n=revoked.n + 1, revoked=False)
    with refused("act-final"):
        world.staff.enter(act)
