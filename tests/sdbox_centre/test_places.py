"""A box that is not where it was placed: what the centre sees, what the box says, what follows."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from sdbox_agent.errors import Refused
from sdbox_centre import access, facts, places, review, tables
from sdbox_centre.core import session_of
from sdbox_centre.rows import box
from tests.sdbox_centre import tls
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World, session

ENGINES = BOTH
HOME, ELSEWHERE = "192.0.2.0/24", "198.51.100.0/24"
MOVED, ALTERED = "box-moved", "machine-altered"
DAY_S = 86400


def held():
    return pytest.raises(Refused, match=r"^box-held$")


class There:
    """The world's box, which says hello from somewhere."""

    def __init__(self, world: World) -> None:
        self.world, self.sessions, self.said = world, 0, 0

    def session(self, network: str | None):
        """One that has said hello."""
        self.sessions += 1
        one = session(self.world, self.sessions)
        one.client.network = network
        one.hello()
        return one

    def opens(self, network: str | None):
        one = self.session(network)
        one.prove()
        one.attempt()
        one.receipt()
        return one

    def healthy(self, network: str | None, *standing: str, placed_s: int | None = None):
        self.said += 1
        client = self.world.talk()
        client.network = network
        said = {"standing": standing, "placed_s": placed_s}
        return client.health(self.world.box.health(self.said, **said))

    def changed(self) -> bool:
        with self.world.store.begin() as tx:
            return places.is_changed(tx, box(tx, self.world.box.fingerprint))

    def told(self) -> list[tuple[str, str]]:
        return [line for line in self.world.trace() if line[1] in {MOVED, ALTERED}]


@pytest.fixture
def there(world: World) -> There:
    return There(world)


# -- what is seen ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),  # of a listener for both families
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::1", "::/48"),
        ("fe80::1%eth0", "fe80::/48"),
    ],
)
def test_a_place_is_a_network(address: str, network: str) -> None:
    assert places.network_of(address) == network


@given(st.ip_addresses())
def test_every_address_is_in_its_network_and_the_whole_network_is_one_place(address) -> None:
    network = ipaddress.ip_network(places.network_of(str(address)))
    mapped = getattr(address, "ipv4_mapped", None)
    assert (mapped or address) in network
    assert places.network_of(str(network[-1])) == str(network)


@pytest.mark.parametrize("text", ["", "test", "192.0.2.0/24", "/run/api.sock", "1"])
def test_what_is_no_address_is_no_place(text: str) -> None:
    with pytest.raises(ValueError):
        places.network_of(text)


def test_the_first_network_is_the_place_and_another_is_a_move_told_once(there: There) -> None:
    there.opens(HOME)
    there.opens(HOME)
    assert not there.changed()
    there.opens(ELSEWHERE)  # a project that says nothing of it lets it in
    there.opens("203.0.113.0/24")
    assert there.changed()
    assert there.told() == [("place", MOVED)]


def test_what_was_seen_stays_although_the_box_is_back(there: There) -> None:
    there.healthy(HOME)
    there.healthy(ELSEWHERE, ALTERED)
    there.healthy(HOME)
    assert there.changed()
    assert there.told() == [("place", MOVED), ("health", ALTERED)]


def test_who_comes_from_nowhere_in_particular_has_not_moved(there: There) -> None:
    there.healthy(None)
    there.healthy(HOME)
    there.opens(None)
    assert not there.changed()


def test_the_boxs_own_word_counts_against_it(there: There) -> None:
    there.healthy(HOME, "identity-copyable")
    assert not there.changed()
    there.healthy(HOME, MOVED, ALTERED, "identity-copyable")
    there.healthy(HOME, MOVED, ALTERED)
    assert there.changed()
    assert there.told() == [("health", MOVED), ("health", ALTERED)]


def test_staff_who_place_it_anew_begin_anew(there: There) -> None:
    there.healthy(HOME)
    there.healthy(ELSEWHERE, MOVED)
    before = there.healthy(ELSEWHERE)
    there.world.clock.move(60)
    there.world.staff.place_box(there.world.box.name)
    assert not there.changed()
    after = there.healthy(ELSEWHERE, MOVED, placed_s=before.placed_s)  # it can't know yet
    assert (before.network, after.network) == (ELSEWHERE, ELSEWHERE)
    assert after.placed_s == there.world.clock.utc > before.placed_s
    assert not there.changed()
    there.healthy(ELSEWHERE, MOVED, placed_s=after.placed_s)
    assert there.changed()
    there.world.clock.move(60)
    there.world.staff.place_box(there.world.box.name)
    there.healthy(ELSEWHERE)
    assert not there.changed()
    there.healthy(HOME)
    assert there.changed()


def test_of_a_box_that_is_placed_nowhere_nothing_is_known(there: There) -> None:
    with there.world.store.begin() as tx:
        tx.execute(update(tables.boxes).values(placed_s=None))
    assert there.healthy(HOME, MOVED).placed_s is None
    with there.world.store.begin() as tx:
        assert tx.execute(select(tables.places)).all() == []


def test_no_network_is_to_be_read_and_two_boxes_in_one_are_not_alike(there: There) -> None:
    world = there.world
    other = w.make_box(world.boxes, 2, world.now)
    world.add_box(other)
    there.healthy(HOME)
    client = world.talk(other)
    client.network = HOME
    client.health(other.health(1))
    with world.store.begin() as tx:
        rows = tx.execute(select(tables.places)).all()
    assert len({row.network for row in rows}) == len({row.salt for row in rows}) == 2
    assert b"192.0.2" not in world.stored()


# -- what follows ----------------------------------------------------------------------------------


@pytest.fixture
def holding(there: There) -> There:
    """The project waits for a derogation."""
    there.healthy(HOME)
    there.world.staff.hold_when_moved(w.PROJECT)
    return there


def test_a_project_that_holds_lets_in_whoever_has_not_moved(holding: There) -> None:
    holding.opens(HOME)


def test_the_hello_itself_shows_that_the_box_has_moved(holding: There) -> None:
    """The centre's own eyes: no word of the box is needed."""
    one = holding.session(ELSEWHERE)
    with held():
        one.prove()


@pytest.mark.parametrize("code", [MOVED, ALTERED])
def test_so_does_its_own_word(holding: There, code: str) -> None:
    holding.healthy(HOME, code)
    one = holding.session(HOME)
    with held():
        one.prove()


def test_between_proof_and_receipt_it_is_asked_again(holding: There) -> None:
    one = holding.session(HOME)
    one.prove()
    one.attempt()
    holding.healthy(ELSEWHERE)
    with pytest.raises(Refused, match=r"^(box-held|session-closed)$"):
        one.receipt()


def test_a_session_that_is_on_ends_as_the_change_is_seen(holding: There) -> None:
    one = holding.opens(HOME)
    assert len(holding.world.peers.peers) == 1
    holding.healthy(HOME, ALTERED)
    assert holding.world.peers.peers == {}
    assert holding.world.trace()[-1] == ("end", "box-held")
    with pytest.raises(Refused, match=r"^session-closed$"):
        one.renew()


def test_a_derogation_lets_it_in_until_its_day_and_ends_by_itself(holding: There) -> None:
    world = holding.world
    until_s = world.clock.utc + DAY_S
    world.staff.derogate(world.box.name, until_s)
    one = holding.opens(ELSEWHERE)
    with world.store.begin() as tx:
        row = session_of(tx, box(tx, world.box.fingerprint), one.name, world.clock.utc)
        assert row.stands_until_s == until_s
    world.clock.move(DAY_S)
    review.sweep(world.centre)
    assert world.trace()[-1] == ("end", "box-held")
    assert world.peers.peers == {}
    with held():
        holding.session(ELSEWHERE).prove()


def test_a_derogation_can_be_ended_sooner_and_its_sessions_with_it(holding: There) -> None:
    world = holding.world
    world.staff.derogate(world.box.name, world.clock.utc + DAY_S)
    one = holding.opens(ELSEWHERE)
    gone = world.staff.derogate(world.box.name, world.clock.utc)
    assert list(gone) == [f"{world.box.name}/{one.name}"]
    with held():
        holding.session(ELSEWHERE).prove()


def test_a_derogation_that_nobody_signed_is_none(holding: There) -> None:
    world = holding.world
    forged = {"box": world.box.name, "until_s": world.clock.utc + DAY_S}
    with world.store.begin() as tx:
        tx.execute(insert(tables.derogations), forged)
    with held():
        holding.session(ELSEWHERE).prove()
    world.staff.derogate(world.box.name, world.clock.utc + 60)
    with world.store.begin() as tx:
        tx.execute(update(tables.derogations).values(until_s=world.clock.utc + DAY_S))
    with held():
        holding.session(ELSEWHERE).prove()


def test_a_project_that_no_longer_holds_lets_it_in(holding: There) -> None:
    with held():
        holding.session(ELSEWHERE).prove()
    holding.world.staff.hold_when_moved(w.PROJECT, holds=False)
    holding.opens(ELSEWHERE)


def test_it_is_placed_anew_and_let_in(holding: There) -> None:
    with held():
        holding.session(ELSEWHERE).prove()
    holding.world.clock.move(60)
    holding.world.staff.place_box(holding.world.box.name)
    holding.opens(ELSEWHERE)


def test_of_a_row_that_says_something_else_the_project_holds(there: There) -> None:
    """`tell` is said, or it is not so."""
    world = there.world
    there.opens(HOME)
    world.believe_rows()
    with world.store.begin() as tx:
        tx.execute(update(tables.projects).values(when_moved="nonsense"))
        row = session_of(
            tx, box(tx, world.box.fingerprint), f"{world.box.boot_id}-1", world.clock.utc
        )
        found = facts.gather(tx, row, facts.Shown.of(row), w.as_written)
    assert [project.holds for project in found.projects] == [True]
    assert isinstance(found.box, access.Box)


# -- over the wire ---------------------------------------------------------------------------------


def test_a_box_is_told_where_it_was_seen_and_since_when_it_is_placed(world: World) -> None:
    with tls.served(world) as port:
        client = tls.client(world, port)
        client.hello(world.box.hello(None))
        answer = client.health(world.box.health(1))
        client.close()
    with world.store.begin() as tx:
        placed = tx.execute(select(tables.boxes.c.placed_s)).scalar_one()
        assert tx.execute(select(tables.places.c.network)).scalar_one() is not None
    assert (answer.network, answer.placed_s) == ("127.0.0.0/24", placed)
