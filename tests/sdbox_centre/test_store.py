import multiprocessing
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from hil.postgres import Cluster
from sdbox_agent.errors import Fault
from sdbox_centre import tables
from sdbox_centre.engines import POOL, Database
from sdbox_centre.store import Store, note
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH, POSTGRESQL
from tests.sdbox_centre.taking import take_attempts
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S, until

ENGINES = BOTH


def test_an_error_that_is_logged_quotes_no_values(world: World) -> None:
    with pytest.raises(IntegrityError) as raised, world.store.begin() as tx:
        tx.execute(insert(tables.boxes), {"name": "test-box-01", "tls_sha256": b"test-secret"})
    assert "test-secret" not in str(raised.value) + repr(raised.value)


def test_a_transaction_is_whole_or_nothing(world: World) -> None:
    before = world.trace()

    def half_done() -> None:
        with world.store.begin() as tx:
            note(tx, 1, "test")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_done()
    assert world.trace() == before


def test_one_live_session_a_card_is_a_rule_of_the_table(world: World) -> None:
    w.session(world).to_open()
    with pytest.raises(IntegrityError), world.store.begin() as tx:
        tx.exec_driver_sql(
            "INSERT INTO sessions (box, boot_counter, name, state, started_s, live_until_s, card)"
            " SELECT box, boot_counter, 'again', 'proved', 0, 0, card FROM sessions"
        )


def test_two_processes_never_count_one_attempt_twice(world: World) -> None:
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    processes = [
        context.Process(target=take_attempts, args=(world.database, taken)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    got = sorted(taken.get(timeout=PATIENCE_S) for _ in range(50))
    for process in processes:
        process.join(PATIENCE_S)
    assert got == list(range(1, 51))
    assert taken.empty()


def test_no_column_could_hold_a_template_a_name_or_a_shared_key() -> None:
    names = {column.name for table in tables.metadata.tables.values() for column in table.columns}
    assert names.isdisjoint({"template", "minutiae", "psk", "private_key", "pin", "surname"})


# -- a database that is away -----------------------------------------------------------------------

OUTAGE_S = 20.0


class Callers:
    """As many threads as have a connection, each asking again and again."""

    def __init__(self, store: Store) -> None:
        self.answers: list[object] = []
        self._store, self._ending = store, threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(POOL)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        while not self._ending.wait(0.01):
            try:
                with self._store.begin() as tx:
                    self.answers.append(tx.exec_driver_sql("SELECT 1").scalar())
            except Fault as error:
                self.answers.append(error.code)

    def hear(self, answer: object) -> None:
        """Each of them, or at least as many answers as there are of them, from now on."""
        before = len(self.answers)
        until(lambda: self.answers[before:].count(answer) >= POOL)

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "it hangs"


@pytest.fixture
def callers(world: World) -> Iterator[Callers]:
    running = Callers(world.store)
    yield running
    running.end()


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_a_database_that_is_down_is_a_fault_until_it_is_back(
    callers: Callers, cluster: Cluster
) -> None:
    callers.hear(1)
    cluster.stop()
    callers.hear("centre-fault")
    time.sleep(OUTAGE_S)
    cluster.start()
    callers.hear(1)
    assert set(callers.answers) == {1, "centre-fault"}


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_a_database_that_is_silent_hangs_nobody(
    monkeypatch: pytest.MonkeyPatch, database: Database, cluster: Cluster
) -> None:
    monkeypatch.setattr("sdbox_centre.store.LONGEST_S", 0.2)
    store = Store(database)
    callers = Callers(store)
    callers.hear(1)
    cluster.freeze()
    callers.hear("centre-fault")
    cluster.thaw()
    callers.hear(1)
    callers.end()
    store.close()
    assert set(callers.answers) == {1, "centre-fault"}


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_a_transaction_that_stood_still_is_a_fault_and_the_next_one_is_not(world: World) -> None:
    def stand_still() -> None:
        with world.store.begin() as tx:
            tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 10"))
            time.sleep(0.5)
            tx.execute(text("SELECT 1"))

    with pytest.raises(Fault, match="centre-fault"):
        stand_still()
    with world.store.begin() as tx:
        assert tx.execute(text("SELECT 1")).scalar_one() == 1
