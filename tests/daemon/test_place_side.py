"""What is told of the place, when it is remembered, and that a place not known is no change."""

import errno

import msgspec
import pytest
from msgspec import UNSET

from sdbox_agent import errors
from sdbox_agent.centre.wire import HealthAnswer
from sdbox_agent.daemon.place_side import PlaceSide
from sdbox_agent.identity.place import remember
from sdbox_agent.state import store
from sdbox_agent.state.model import ModelFileSystem
from sdbox_agent.state.record import Fact

Facts = dict[Fact, frozenset[str]]

SALT = bytes(range(32))
PARTS: Facts = {"machine-id": frozenset({"0" * 32}), "disk": frozenset({"disk-1"})}
GATEWAY, OTHER = frozenset({"02:00:00:00:00:fe"}), frozenset({"02:00:00:00:00:01"})
READER = frozenset({"04e6:5116 A1 1-2"})
HOME = HealthAnswer(network="192.0.2.0/24", placed_s=7)
ELSEWHERE = HealthAnswer(network="198.51.100.0/24", placed_s=7)


class Box:
    """As `run` puts it together, over a store in memory."""

    def __init__(self, known: object = None, standing: tuple[str, ...] = ()) -> None:
        self.files = ModelFileSystem()
        self.store = store.create(self.files, known=known or remember(PARTS, SALT))  # type: ignore[arg-type]
        self.around: Facts = {"gateway": GATEWAY, "reader": READER}
        self.told: list[str] = []
        self.shown: list[tuple[str, ...]] = []
        self.start(standing)

    def start(self, standing: tuple[str, ...] = ()) -> None:
        self.side = PlaceSide(self.store, PARTS, lambda: self.around, bytes(32), standing)
        self.side.new, self.side.show = self.told.append, self.shown.append

    def known(self) -> set[str]:
        """By name, what the disk remembers."""
        on_disk = store.load(self.files).state.known
        return set() if on_disk is UNSET else set(on_disk.facts)


@pytest.fixture
def box() -> Box:
    return Box()


def test_the_place_is_remembered_as_the_centre_first_answers_and_told_of_never(box: Box) -> None:
    assert box.known() == set(PARTS)
    box.side.greeted()
    assert box.known() == {*PARTS, "gateway", "reader"}
    box.side.seen(HOME)
    assert box.known() == {*PARTS, "gateway", "reader", "address"}
    for _ in range(3):
        box.side.greeted()
        box.side.seen(HOME)
    assert (box.told, box.shown, box.side.standing) == ([], [], ())


def test_nothing_is_written_where_nothing_is_new(box: Box) -> None:
    box.side.seen(HOME)
    generation = store.load(box.files).state.generation
    box.side.seen(HOME)
    box.around = {}
    box.side.greeted()
    assert store.load(box.files).state.generation == generation


def test_a_place_that_can_not_be_told_is_no_change_and_is_learned_later(box: Box) -> None:
    box.around = {}
    box.side.greeted()
    box.side.seen(HealthAnswer())  # a centre that sees no address, of a box not placed yet
    assert box.known() == set(PARTS)
    box.around = {"gateway": OTHER}
    box.side.seen(HOME)
    assert box.known() == {*PARTS, "gateway", "address"}
    assert box.side.standing == ()


def test_another_gateway_is_a_move_and_told_once_for_as_long_as_it_is_so(box: Box) -> None:
    box.side.greeted()
    box.around = {"gateway": OTHER, "reader": READER}
    box.side.greeted()
    box.side.greeted()
    assert (box.told, box.shown) == (["box-moved"], [("box-moved",)])
    box.around = {"gateway": GATEWAY, "reader": READER}
    box.side.greeted()
    assert box.shown[1:] == [()]
    box.around = {"gateway": OTHER}
    box.side.greeted()
    assert box.told == ["box-moved"] * 2


def test_so_is_another_network_that_the_centre_sees(box: Box) -> None:
    box.side.seen(HOME)
    box.side.seen(ELSEWHERE)
    assert (box.told, box.side.standing) == (["box-moved"], ("box-moved",))
    box.side.seen(HealthAnswer(placed_s=7))  # it does not see one: as it was last
    assert box.side.standing == ("box-moved",)


def test_another_reader_and_another_cable_are_an_alteration(box: Box) -> None:
    box.side.greeted()
    for other in ("04e6:5116 A1 1-3", "04e6:5116 B2 1-2"):
        box.around = {"reader": frozenset({other})}
        box.side.greeted()
        assert box.side.standing == ("machine-altered",)
    assert box.told == ["machine-altered"]
    box.around = {}  # unplugged, which is told elsewhere
    box.side.greeted()
    assert box.side.standing == ()


def test_what_was_found_at_the_start_is_not_told_twice_and_stays_what_it_is() -> None:
    known = remember({**PARTS, "gateway": OTHER}, SALT)
    box = Box(known, ("identity-copyable", "box-moved"))
    box.side.greeted()
    assert (box.told, box.shown) == ([], [])
    assert box.side.standing == ("identity-copyable", "box-moved")
    box.around = {"gateway": OTHER}
    box.side.greeted()
    assert box.shown == [("identity-copyable",)], "a key in a file stays one"


def test_over_a_restart_it_is_the_same_place(box: Box) -> None:
    box.side.seen(HOME)
    box.store = store.load(box.files)
    box.start()
    box.side.seen(ELSEWHERE)
    assert box.told == ["box-moved"]


def test_placed_anew_it_is_where_it_belongs(box: Box) -> None:
    box.side.seen(HOME)
    box.around = {"gateway": OTHER, "reader": frozenset({"04e6:5116 A1 1-3"})}
    box.side.seen(ELSEWHERE)
    assert box.told == ["machine-altered", "box-moved"]
    assert box.side.placed_s == 7
    box.side.seen(msgspec.structs.replace(ELSEWHERE, placed_s=8))
    assert box.side.placed_s == 8
    assert (box.side.standing, box.shown[-1]) == ((), ())
    box.side.seen(msgspec.structs.replace(HOME, placed_s=8))
    assert box.side.standing == ("box-moved",), "where it was before is elsewhere now"


def test_a_box_from_before_the_machine_was_remembered_remembers_it_now() -> None:
    box = Box()
    assert box.side.placed_s is None
    box.store.save(msgspec.structs.replace(box.store.state, known=UNSET))
    assert box.side.placed_s is None
    box.side.seen(HOME)
    assert box.known() == {*PARTS, "gateway", "reader", "address"}


def test_a_disk_that_refuses_stops_nothing_and_it_is_tried_again(box: Box) -> None:
    box.files.fail = dict.fromkeys(range(10_000), errno.ENOSPC)
    box.side.seen(HOME)
    box.files.fail = {}
    assert box.known() == set(PARTS)
    assert box.told == []
    box.side.seen(HOME)
    assert "address" in box.known()


def test_what_is_told_has_its_sentence() -> None:
    assert {errors.explain(code).kind for code in ("box-moved", "machine-altered")} == {"Fault"}
