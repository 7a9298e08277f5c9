"""A planned window gives time, once, and to nobody who has no right any more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import Fault
from sdbox_centre import window
from sdbox_centre.gateway_wire import Installed, Remove, Renewed
from sdbox_centre.window import Planned, Window
from tests.sdbox_centre import world as w
from tests.sdbox_centre.test_gateway import install, refused, renewal
from tests.sdbox_centre.test_handover import through
from tests.sdbox_centre.world import World

TIMES = st.integers(0, 2000)


@given(TIMES, st.integers(1, 600), st.lists(st.tuples(TIMES, st.integers(0, 100))), TIMES)
def test_wherever_the_wall_clock_is_set_to_it_is_never_longer_than_it_was_signed_for(
    from_s: int, length_s: int, looks: list[tuple[int, int]], lease_ends_s: int
) -> None:
    """`looks`: where the wall clock is, and how much real time has passed since the last look."""
    held, planned, mono_s = Window(), Planned(from_s, from_s + length_s), 0.0
    opened_s = None
    for utc_s, passed_s in looks:
        mono_s += passed_s
        held.look(planned, utc_s, mono_s)
        if opened_s is None and held.opened is not None:
            opened_s = mono_s
            assert from_s <= utc_s < from_s + length_s
    until_s = held.held_s(lease_ends_s)
    if opened_s is None:
        assert until_s == lease_ends_s
    else:
        assert lease_ends_s <= until_s <= max(lease_ends_s, opened_s + length_s)
        assert until_s <= lease_ends_s + window.MAX_S


def test_another_act_ends_it() -> None:
    held, planned = Window(), Planned(100, 700)
    held.look(planned, 100, 0.0)
    assert held.held_s(10.0) == 600.0
    held.look(Planned(100, 150), 110, 10.0)
    assert held.held_s(10.0) == 50.0
    held.look(None, 111, 11.0)
    assert held.held_s(10.0) == 10.0


class Office:
    """Where the gateway reads what staff signed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.planned: Planned | None = None
        self.broken = False

    def plan(self, for_s: int, in_s: int = 0) -> None:
        from_s = self.world.clock.utc + in_s
        self.planned = Planned(from_s, from_s + for_s)

    def window(self) -> Planned | None:
        if self.broken:
            raise Fault("crl-stale")
        return self.planned


@pytest.fixture
def office(world: World, monkeypatch: pytest.MonkeyPatch) -> Office:
    one = Office(world)
    monkeypatch.setattr(w.Book, "window", one.window)
    return one


def over(world: World, seconds: float) -> None:
    """A gateway's own turns, one a second, with nobody asking."""
    for _ in range(int(seconds)):
        world.clock.move(1)
        world.gateway.expire()


def test_an_outage_within_it_costs_no_session(world: World, office: Office) -> None:
    world.gateway.answer(install(world))
    office.plan(300, in_s=30)
    over(world, 30 + 299)
    assert world.peers.peers
    assert world.gateway.answer(renewal(world, 1)) == Renewed(lease_s=w.LEASE_S)
    over(world, w.LEASE_S)
    assert not world.peers.peers


def test_it_ends_when_it_ends(world: World, office: Office) -> None:
    world.gateway.answer(install(world))
    office.plan(300)
    over(world, 299)
    assert world.peers.peers
    over(world, 1)
    assert not world.peers.peers
    with refused("lease-refused"):
        world.gateway.answer(renewal(world, 1))


def test_a_box_learns_of_it_by_its_next_renewal(world: World, office: Office) -> None:
    world.gateway.answer(install(world))
    office.plan(300)
    over(world, 20)
    assert world.gateway.answer(renewal(world, 1)) == Renewed(lease_s=280)
    over(world, 100)  # the answer was lost, and the box asks again
    assert world.gateway.answer(renewal(world, 1)) == Renewed(lease_s=180)


def test_a_lease_that_was_over_before_it_is_over(world: World, office: Office) -> None:
    world.gateway.answer(install(world))
    office.plan(300, in_s=w.LEASE_S)
    over(world, w.LEASE_S)
    assert not world.peers.peers


def test_it_gives_time_and_no_right(world: World, office: Office) -> None:
    cards = [world.card, *(w.make_card(world.cards, n, world.now) for n in (2, 3))]
    world.write_project(cards)
    for n, card in enumerate(cards):
        assert isinstance(world.gateway.answer(install(world, n=n, card=card)), Installed)
    office.plan(600)
    over(world, 100)
    world.gateway.answer(Remove(keys=(f"{world.box.name}/{world.box.boot_id}-0",)))
    assert len(world.peers.peers) == 2
    world.write_project(cards[:2])
    world.gateway.review.begin()
    world.gateway.review.go_on()
    assert len(world.peers.peers) == 1
    world.write_project(cards)
    serial = w.x509.load_der_x509_certificate(cards[1].certificates.auth).serial_number
    world.publish_crl(serial)
    world.gateway.review.begin()
    world.gateway.review.go_on(1.0)
    assert not world.peers.peers


def test_windows_one_after_the_other_hold_nobody_longer_than_one(
    world: World, office: Office
) -> None:
    world.gateway.answer(install(world))
    for _ in range(3):
        office.plan(600)
        over(world, 500)
    assert not world.peers.peers


def test_one_that_can_not_be_read_holds_nobody(world: World, office: Office) -> None:
    world.gateway.answer(install(world))
    office.plan(300)
    over(world, 100)
    office.broken = True
    world.gateway.expire()
    assert not world.peers.peers


def test_a_reload_within_it_changes_nothing_of_it(world: World, office: Office) -> None:
    world.gateway.answer(install(world))
    office.plan(300)
    over(world, 100)
    world.clock.utc -= 90  # the wall clock is set back: it ends when it was to end
    gateway = through(world)
    assert gateway.expire() == 200
    office.planned = None  # and it is there only if the next program finds it, too
    through(world, gateway.memory())
    assert not world.peers.peers


def test_a_session_goes_on_through_the_apis_own_outage(world: World, office: Office) -> None:
    """It renews as the window opens, hears nothing for minutes, and renews again."""
    one = w.session(world)
    one.to_open()
    office.plan(300)
    over(world, 20)
    assert one.renew().lease_s == 280
    over(world, 200)
    assert one.renew().lease_s == 80
    over(world, 79)
    assert one.renew().lease_s == w.LEASE_S
