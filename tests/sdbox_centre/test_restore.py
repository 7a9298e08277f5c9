"""An old database is put back: nothing that was taken away since comes back with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.postgres import Cluster
from hil.staff import Staff
from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, SdboxError
from sdbox_centre import memory, restore
from sdbox_centre.engines import Database
from sdbox_centre.memory import Memory
from sdbox_centre.staff import payload
from sdbox_centre.store import Store
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH, POSTGRESQL
from tests.sdbox_centre.parties import PROJECT
from tests.sdbox_centre.world import World, session

ENGINES = BOTH


class Backups:
    """Copies of a world's database; put back, the centre starts on them anew."""

    def __init__(self, world: World, cluster: Callable[[], Cluster]) -> None:
        self.world, self._cluster, self._copy = world, cluster, None
        self.remembers = True
        self.start(world.database)

    def start(self, database: Database) -> None:
        world = self.world
        world.close()
        memory = Memory(world.root / "remembered") if self.remembers else None
        world.start_on(Store(database, memory))

    def take(self) -> None:
        self.world.close()
        if isinstance(self.world.database, Path):
            self._copy = shutil.copy(self.world.database, self.world.root / "backup")
        else:
            self._copy = self._cluster().database(like=self.world.database)
        self.start(self.world.database)

    def put_back(self) -> None:
        self.start(Path(self._copy) if isinstance(self.world.database, Path) else self._copy)


@pytest.fixture
def backups(world: World, request: pytest.FixtureRequest) -> Backups:
    return Backups(world, lambda: request.getfixturevalue("cluster"))


def refused(code: str):
    return pytest.raises(SdboxError, match=f"^{code}$")


def card(world: World) -> tuple[int, bool]:
    with world.store.begin() as tx:
        row = tx.exec_driver_sql("SELECT failures, revoked_s FROM cards").one()
        return row.failures, row.revoked_s is not None


def attempts(world: World, n: int, first_session: int = 1) -> None:
    one = session(world, first_session)
    one.hello()
    one.prove()
    for _ in range(n):
        one.attempt()
    one.end()


def accept(world: World) -> list[str]:
    return restore.accept(world.store, world.clock.utc, "test")


def test_no_attempt_comes_back(world: World, backups: Backups) -> None:
    attempts(world, 1)
    backups.take()
    attempts(world, 3, 2)
    backups.put_back()
    with refused("database-restored"):
        session(world, 9).hello()
    assert accept(world) == []
    assert card(world) == (4, False)
    attempts(world, 1, 10)


def test_planted_a_centre_that_remembers_nothing(world: World, backups: Backups) -> None:
    backups.remembers = False
    backups.take()
    attempts(world, 3)
    backups.put_back()
    attempts(world, 1, 10)
    assert card(world) == (1, False), "three were given back"


def test_no_revoked_card_comes_back(world: World, backups: Backups) -> None:
    backups.take()
    world.staff.revoke_card(world.card.name, "test")
    backups.put_back()
    with refused("database-restored"):
        session(world).hello()
    accept(world)
    assert card(world) == (0, True)
    one = session(world)
    one.hello()
    with refused("card-revoked"):
        one.prove()


def test_no_card_that_was_copied_comes_back(world: World, backups: Backups) -> None:
    elsewhere = w.make_box(world.boxes, 2, world.now)
    world.add_box(elsewhere)
    backups.take()
    here, there = session(world), session(world, box=elsewhere)
    here.to_open()
    there.hello()
    with refused("session-elsewhere"):
        there.prove()
    here.renew()
    with refused("card-twice"):
        here.renew()
    backups.put_back()
    assert accept(world) == []
    one = session(world, 9)
    one.hello()
    with refused("card-twice"):
        one.prove()


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda staff: staff.withdraw("test-holder-01", PROJECT, "test"), "no-project"),
        (lambda staff: staff.close_project(PROJECT, "test"), "project-closed"),
        (lambda staff: staff.suspend_box("test-box-01", "test"), "box-suspended"),
    ],
    ids=["withdraw", "close-project", "suspend-box"],
)
def test_nothing_else_that_staff_took_away_comes_back(
    world: World, backups: Backups, act: Callable[[Staff], object], code: str
) -> None:
    backups.take()
    act(world.staff)
    backups.put_back()
    accept(world)
    one = session(world)
    with refused(code):
        one.hello()
        one.prove()


def test_staff_may_give_again_what_a_restore_took(world: World, backups: Backups) -> None:
    backups.take()
    world.staff.withdraw("test-holder-01", PROJECT, "test")
    world.staff.close_project(PROJECT, "test")
    backups.put_back()
    accept(world)
    staff, office = world.staff, world.office
    for kind, said in (
        (payload.Project, {"project": PROJECT}),
        (payload.Grant, {"holder": "test-holder-01", "project": PROJECT}),
    ):
        before = office.newest(kind.subject_of(said))
        assert isinstance(before, kind)
        assert not office.stands(before.subject)
        staff.enter(office.change(kind, "given again", **said))
        assert office.stands(before.subject)
        with refused("act-impossible"):
            office.change(kind, "and again", **said)
    one = session(world)
    one.hello()
    one.prove()


def test_no_session_and_no_challenge_of_then_goes_on(world: World, backups: Backups) -> None:
    one = session(world)
    one.to_open()
    backups.take()
    one.client = world.talk()
    one.renew()
    backups.put_back()
    accept(world)
    one.client, one.n = world.talk(), 0
    with refused("session-closed"):
        one.renew()
    with world.store.begin() as tx:
        live = "SELECT count(*) FROM challenges WHERE used IS NULL"
        assert tx.exec_driver_sql(live).scalar() == 0


def test_what_the_database_no_longer_knows_is_told(world: World, backups: Backups) -> None:
    backups.take()
    other = w.make_card(world.cards, 2, world.now)
    world.admit(other, 2)
    world.staff.revoke_card(other.name, "test")
    backups.put_back()
    assert accept(world) == [f"card {other.name.hex()}"]
    assert world.trace()[-1] == ("restore-accept", "done")


def test_what_another_machine_took_away_counts_too(world: World, backups: Backups) -> None:
    backups.take()
    other = Memory(world.root / "other")
    elsewhere = Store(world.database, other)
    world.staff_on(elsewhere).revoke_card(world.card.name, "test")
    attempts_here = memory.Taken(2, "attempts", world.card.name.hex(), 3)
    world.store._memory.keep([attempts_here])
    backups.put_back()
    assert restore.accept(world.store, world.clock.utc, "test", [other]) == []
    elsewhere.close()
    assert card(world) == (3, True)
    session(world).hello()


def test_a_database_that_was_not_restored_is_worked_on(world: World, backups: Backups) -> None:
    attempts(world, 2)
    backups.take()
    backups.put_back()  # nothing was taken away since
    attempts(world, 1, 5)
    assert accept(world) == []
    assert card(world) == (3, False)


def test_an_answer_that_could_not_be_remembered_does_not_leave(
    world: World, backups: Backups
) -> None:
    one = session(world)
    one.hello()
    one.prove()
    file = world.store._memory._file
    file.execute("ALTER TABLE taken RENAME TO away")
    asked = wire.AttemptRequest(session=one.name, challenge=one.challenge)
    for _ in range(2):  # the call that comes again has an answer, and must not have it either
        with refused("disk-failed"):
            one.client.attempt(asked)
    file.execute("ALTER TABLE away RENAME TO taken")
    assert one.client.attempt(asked).attempt == 1
    assert world.store._memory.since(0) == [memory.Taken(1, "attempts", world.card.name.hex(), 1)]


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_one_that_is_put_back_under_a_running_centre_is_seen(
    world: World, backups: Backups, cluster: Cluster
) -> None:
    """It must have been away for that: after each time, the centre looks."""
    backups.take()
    attempts(world, 1)
    copy, database = backups._copy, world.database
    cluster.drop(database)
    with pytest.raises(Fault):
        session(world, 2).hello()
    cluster.rename(copy, database)
    with refused("database-restored"):
        session(world, 2).hello()
