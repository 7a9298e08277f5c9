"""Two API processes on one database: every rule that a race could break, raced.

Two stores are two processes' worth of connections. Where a fault is planted, the rule is read first
and written after, with a wait between; it must be seen to break, or its test could not have failed.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
import pytest
from sqlalchemy import event, func, select, update

from sdbox_agent.centre import wire
from sdbox_agent.errors import SdboxError
from sdbox_agent.terms import Band
from sdbox_centre import access, boots, challenges, core, linkrows, review, rows, tables
from sdbox_centre.core import Centre
from sdbox_centre.store import Store
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH, POSTGRESQL
from tests.sdbox_centre.parties import PROJECT
from tests.sdbox_centre.world import World, session
from tests.waiting import PATIENCE_S, until

ENGINES = BOTH
MANY = 16
MEET_S = 0.5  # for the other to come; whoever is kept out by the rule never does


class OneAtATime:
    """The gateway's process, which answers one call after the other."""

    def __init__(self, gateway) -> None:
        self._gateway, self._lock = gateway, threading.Lock()

    def __getattr__(self, name: str):
        def call(request):
            with self._lock:
                return getattr(self._gateway, name)(request)

        return call


@pytest.fixture
def both(world: World) -> Iterator[tuple[Centre, Centre]]:
    """The API twice: a store each, one gateway."""
    other = Store(world.database)
    centre = dataclasses.replace(world.centre, gateway=OneAtATime(world.centre.gateway))
    yield centre, dataclasses.replace(centre, store=other)
    other.close()


def at_once(*jobs: Callable[[], object]) -> list[object]:
    """What each answers, or the code it is refused with, when all begin together."""
    together = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> object:
        together.wait(PATIENCE_S)
        try:
            return job()
        except SdboxError as error:
            return error.code

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def meeting() -> Callable[[], None]:
    """Two who call it wait for one another, a while."""
    barrier = threading.Barrier(2)

    def meet() -> None:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(MEET_S)

    return meet


def proved(world: World) -> w.Session:
    one = session(world)
    one.hello()
    one.prove()
    return one


def count(world: World, *where: object) -> int:
    with world.store.begin() as tx:
        return tx.execute(select(func.count()).where(*where)).scalar_one()


# -- attempts --------------------------------------------------------------------------------------


def spend(centre: Centre, one: w.Session) -> int:
    now_s = centre.utc_s()
    with centre.store.begin() as tx:
        card, row = core.held(tx, one.box.fingerprint, one.name, now_s)
        access.may_compare(card.failures, card.not_before_s, now_s)
        return rows.spend(tx, row, card, 10 * MANY, now_s)


def test_attempts_of_a_card_are_counted_one_by_one(world: World, both) -> None:
    one = proved(world)
    answers = at_once(*(lambda n=n: spend(both[n % 2], one) for n in range(MANY)))
    assert sorted(filter(lambda answer: answer != "too-soon", answers)) == [1, 2, 3, 4, 5]
    assert count(world, tables.cards.c.failures == access.FREE_FAILURES) == 1
    assert count(world, tables.attempts.c.number > 0) == access.FREE_FAILURES


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_planted_attempts_that_are_read_then_written(world: World, both) -> None:
    name, meet = world.card.name, meeting()

    def spend_badly(centre: Centre) -> int:
        with centre.store.begin() as tx:
            failures = rows.card(tx, name).failures
            meet()
            tx.execute(update(tables.cards).values(failures=failures + 1))
            return failures + 1

    assert at_once(*(lambda c=c: spend_badly(c) for c in both)) == [1, 1]
    assert count(world, tables.cards.c.failures == 1) == 1, "one was given back"


# -- challenges ------------------------------------------------------------------------------------


def test_a_challenge_is_spent_once(world: World, both) -> None:
    one = session(world)
    one.hello()

    def take(n: int) -> bytes | None:
        with both[n % 2].store.begin() as tx:
            _, row = core.held(tx, one.box.fingerprint, one.name, world.clock.utc)
            used, now_s = bytes([n]) * 32, world.clock.utc
            return challenges.take(tx, row.id, "proof", one.challenge, used, now_s)

    answers = at_once(*(lambda n=n: take(n) for n in range(MANY)))
    assert sorted(answers, key=str) == [None] + ["challenge-used"] * (MANY - 1)


def test_a_session_has_one_unused_challenge_whoever_asks(world: World, both) -> None:
    one = session(world)
    one.hello()
    hello = one.box.hello(one.name)
    asked = [w.Direct(centre, one.box) for centre in both for _ in range(4)]
    answers = at_once(*(lambda d=d: d.hello(hello).challenge for d in asked))
    assert len(set(answers)) == len(asked)
    assert count(world, tables.challenges.c.used.is_(None)) == 1


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_planted_a_session_that_is_not_held(
    world: World, both, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, meet = session(world), meeting()
    one.hello()

    def slowly(_connection, _cursor, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO challenges"):
            meet()  # each has made the one before void, and issues its own

    for centre in both:
        event.listen(centre.store._engine, "before_cursor_execute", slowly)
    monkeypatch.setattr(rows, "hold_box", rows.box)
    monkeypatch.setattr(rows, "hold_session", rows.session)
    hello = one.box.hello(one.name)
    at_once(*(lambda c=c: w.Direct(c, one.box).hello(hello) for c in both))
    assert count(world, tables.challenges.c.used.is_(None)) == 2, "one would be signed in advance"


# -- sessions --------------------------------------------------------------------------------------


def test_a_card_has_one_live_session_at_most(world: World, both) -> None:
    """In two boxes at the same moment, its proofs at two processes."""
    second = w.make_box(world.boxes, 2, world.now)
    world.add_box(second)
    two = [session(world), session(world, box=second)]
    for one, centre in zip(two, both, strict=True):
        one.client = w.Direct(centre, one.box)
        one.hello()
    at_once(*(one.prove for one in two))
    live = tables.sessions.c.state != "ended"
    assert count(world, live, tables.sessions.c.card == world.card.name) <= 1


def test_the_same_bytes_at_both_have_the_same_answer(world: World, both) -> None:
    one = session(world)
    one.to_open()
    one.n = 1
    renewal = one.box.renew(one.card, one.name, one.challenge, one.n)
    first, second = at_once(*(lambda c=c: w.Direct(c, one.box).renew(renewal) for c in both))
    assert first == second
    assert count(world, tables.sessions.c.renewals == 1) == 1
    one.challenge = first.challenge
    one.renew()


def two_starts(world: World, both, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The same start counter, two names for it: one of them is a copy."""
    judge, meet = boots.is_clone, meeting()

    def slowly(box, request) -> bool:
        meet()
        return judge(box, request)

    monkeypatch.setattr(boots, "is_clone", slowly)
    hello = world.box.hello(None)
    copied = msgspec.structs.replace(hello, boot_id="boot-copy")
    return at_once(
        lambda: w.Direct(both[0], world.box).hello(hello).wire,
        lambda: w.Direct(both[1], world.box).hello(copied).wire,
    )


def test_two_starts_of_a_box_at_once_are_seen(
    world: World, both, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "box-clone" in two_starts(world, both, monkeypatch)
    assert count(world, tables.boxes.c.state == "suspended") == 1


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_planted_a_box_that_is_not_held(
    world: World, both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "hold_box", rows.box)
    assert "box-clone" not in two_starts(world, both, monkeypatch), "it was overlooked"


# -- what a match leaves behind --------------------------------------------------------------------


def aged(world: World) -> int:
    with world.store.begin() as tx:
        return len(rows.ageing_of(tx, "test-enrolment-01").bands)


def test_every_match_counts_for_the_ageing(world: World, both) -> None:
    def match(n: int) -> None:
        with both[n % 2].store.begin() as tx:
            rows.hold_card(tx, world.card.name)
            rows.aged(tx, "test-enrolment-01", Band.FAIR)

    at_once(*(lambda n=n: match(n) for n in range(10)))
    assert aged(world) == 10


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_planted_matches_without_the_card(
    world: World, both, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, meet = rows.ageing_of, meeting()

    def slowly(tx, enrolment_id: str):
        found = read(tx, enrolment_id)
        meet()
        return found

    def match(centre: Centre) -> None:
        with centre.store.begin() as tx:
            rows.aged(tx, "test-enrolment-01", Band.FAIR)

    with monkeypatch.context() as patched:
        patched.setattr(rows, "ageing_of", slowly)
        at_once(*(lambda c=c: match(c) for c in both))
    assert aged(world) == 1, "one was lost"


# -- acts of staff beside calls --------------------------------------------------------------------


def granted_beside_withdrawal(
    world: World, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> object:
    """Staff withdraw the grant between a receipt's decision and its commit."""
    one = session(world)
    one.client = w.Direct(centre, one.box)
    one.hello()
    one.prove()
    one.attempt()
    decided, grant = threading.Event(), rows.granted

    def withdraw() -> None:
        assert decided.wait(PATIENCE_S)
        world.staff.withdraw("test-holder-01", PROJECT, "test")

    staff = threading.Thread(target=withdraw)

    def slowly(*asked) -> bool:
        decided.set()
        staff.join(MEET_S)
        return grant(*asked)

    monkeypatch.setattr(rows, "granted", slowly)
    staff.start()
    with suppress(SdboxError):
        one.receipt()
    staff.join(PATIENCE_S)
    return count(world, tables.sessions.c.state != "ended")


def test_a_withdrawal_ends_what_was_being_granted(
    world: World, both, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert granted_beside_withdrawal(world, both[1], monkeypatch) == 0


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_planted_an_act_that_is_not_alone(
    world: World, both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.store, "alone", world.store.begin)
    assert granted_beside_withdrawal(world, both[1], monkeypatch) == 1, "it was overlooked"


# -- locks in one order ----------------------------------------------------------------------------


def waits(world: World) -> bool:
    """Does somebody wait for a lock? Each look in a transaction of its own: they are cached."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with world.second.begin() as tx:
        return tx.exec_driver_sql(asked).scalar() > 0


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_a_box_is_suspended_as_a_copy_while_it_starts_anew(world: World, both) -> None:
    session(world).to_open()
    with ThreadPoolExecutor(1) as pool:
        with both[0].store.begin() as tx:
            rows.hold_box(tx, world.box.fingerprint)
            done = pool.submit(boots.suspend_clone, both[1], world.box.name, "link")
            until(lambda: waits(world))
            core.end_all(tx, rows.live_of_box(tx, world.box.name), "shutdown", world.clock.utc)
        done.result(PATIENCE_S)
    assert count(world, tables.boxes.c.state == "suspended") == 1


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_many_sessions_end_while_all_boxes_are_told(world: World, both) -> None:
    """The session that began first is at the box whose name comes last."""
    last, card = w.make_box(world.boxes, 2, world.now), w.make_card(world.cards, 2, world.now)
    world.add_box(last)
    world.admit(card, 2)
    for one in (session(world, box=last), session(world, card=card)):
        one.hello()
        one.prove()
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE cards SET revoked_s = 1")
        tx.exec_driver_sql("UPDATE sessions SET stands_until_s = 1")
        for box in (world.box, last):
            linkrows.tell(tx, box.name, wire.NewCrls(), world.clock.utc)
    with ThreadPoolExecutor(1) as pool:
        with both[0].store.begin() as tx:
            linkrows.tell(tx, world.box.name, wire.NewCrls(), world.clock.utc)
            done = pool.submit(review.sweep, both[1])
            until(lambda: waits(world))
            linkrows.tell(tx, last.name, wire.NewCrls(), world.clock.utc)
        done.result(PATIENCE_S)
    assert count(world, tables.sessions.c.state == "ended") == 2
