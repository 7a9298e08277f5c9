"""All boxes told at once, as each would have been alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, event

from sdbox_agent.centre import wire
from sdbox_centre import linkrows
from sdbox_centre.store import Store
from sdbox_centre.tables import boxes
from tests.sdbox_centre.databases import BOTH, POSTGRESQL
from tests.sdbox_centre.world import World

ENGINES = BOTH
AT_S = 1_000


@pytest.fixture
def store(world: World) -> Store:
    """With three boxes in service, and one that is not."""
    with world.store.begin() as tx:
        tx.execute(boxes.delete())
        for name in ("test-b", "test-c", "test-a", "test-away"):
            _add(tx, name)
        tx.execute(boxes.update().where(boxes.c.name == "test-away").values(state="suspended"))
    return world.store


def _add(tx: Connection, name: str) -> None:
    row = {"name": name, "tls_sha256": name.encode(), "statement_certificate": b"c"}
    tx.execute(boxes.insert(), {**row, "state": "active"})


def _kept(tx: Connection, box: str) -> list[tuple[int, str, bytes, int]]:
    found = linkrows.events_after(tx, box, 0)
    return [(row.seq, row.kind, bytes(row.body), row.at_s) for row in found]


def test_each_is_told_as_it_would_be_alone(store: Store) -> None:
    with store.begin() as tx:
        linkrows.tell(tx, "test-b", wire.NewCrls(), AT_S)  # it had heard something before
        for version in range(linkrows.KEPT_EVENTS):
            news = wire.NewPolicy(version=version)
            linkrows.tell_all(tx, news, AT_S + version)
            linkrows.tell(tx, "test-away", news, AT_S + version)
        alone = _kept(tx, "test-away")
        assert len(alone) == linkrows.KEPT_EVENTS
        assert _kept(tx, "test-a") == _kept(tx, "test-c") == alone
        assert _kept(tx, "test-b") == [(seq + 1, *rest) for seq, *rest in alone]


def test_one_out_of_service_is_not_told(store: Store) -> None:
    with store.begin() as tx:
        linkrows.tell_all(tx, wire.NewCrls(), AT_S)
        assert linkrows.link(tx, "test-away") is None
        assert _kept(tx, "test-away") == []


def test_nobody_may_be_there_to_be_told(world: World) -> None:
    with world.store.begin() as tx:
        tx.execute(boxes.update().values(state="suspended"))
        linkrows.tell_all(tx, wire.NewCrls(), AT_S)
        assert linkrows.newest_event(tx) == 0


def test_a_thousand_cost_no_more_questions_than_three(store: Store) -> None:
    """Four for each box, and a transaction may not last: a thousand would never be told."""
    with store.begin() as tx:
        few = _questions(tx)
        for number in range(1_000):
            _add(tx, f"test-more-{number:04}")
        assert _questions(tx) == few
        assert _kept(tx, "test-more-0999") == [(1, "crl", b"{}", AT_S)]


def _questions(tx: Connection) -> int:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    event.listen(tx, "before_cursor_execute", note)
    try:
        linkrows.tell_all(tx, wire.NewCrls(), AT_S)
    finally:
        event.remove(tx, "before_cursor_execute", note)
    return len(asked)


@pytest.mark.parametrize("engine", POSTGRESQL, indirect=True)
def test_two_tell_all_of_them_at_the_same_time(world: World, store: Store) -> None:
    def tell(teller: Store) -> None:
        for _ in range(20):
            with teller.begin() as tx:
                linkrows.tell_all(tx, wire.NewCrls(), AT_S)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(tell, (store, world.second)))
    with store.begin() as tx:
        assert [seq for seq, *_ in _kept(tx, "test-c")] == list(range(1, 41))
