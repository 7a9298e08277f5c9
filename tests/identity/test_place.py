"""What has changed about a box, from salted hashes of what it was."""

from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from sdbox_agent.identity import place
from sdbox_agent.identity.place import (
    DEVICES,
    PARTS,
    PLACE,
    Changes,
    changes,
    keep_up,
    remember,
)
from sdbox_agent.state import record
from sdbox_agent.state.record import Fact

SALT = bytes(range(32))
HERE: dict[Fact, frozenset[str]] = {
    "machine-id": frozenset({"0" * 32}),
    "disk": frozenset({"disk-1"}),
    "nic": frozenset({"02:00:00:00:00:01", "02:00:00:00:00:02"}),
    "reader": frozenset({"serial-1 1-1"}),
    "sensor": frozenset({"serial-2 1-2"}),
    "gateway": frozenset({"02:00:00:00:00:fe"}),
    "address": frozenset({"192.0.2.1"}),
}
KNOWN = remember(HERE, SALT)
FACTS = st.dictionaries(
    st.sampled_from(get_args(Fact)),
    st.frozensets(st.text(max_size=8), min_size=1, max_size=4),
)


def now(**changed: set[str]) -> dict[Fact, frozenset[str]]:
    """As it was, but for these; an empty set is a fact not known now."""
    new = {name.replace("_", "-"): frozenset(values) for name, values in changed.items()}
    return {**HERE, **new}  # type: ignore[dict-item]


@given(FACTS, st.binary(min_size=32, max_size=32))
def test_nothing_changes_where_nothing_changed(facts: dict[Fact, frozenset[str]], salt) -> None:
    known = remember(facts, salt)
    assert changes(known, facts) == Changes()
    assert record.decode(record.encode(record.State(known=known))).known == known


@given(FACTS, FACTS)
def test_only_what_was_known_then_can_have_changed(then, later) -> None:
    found = changes(remember(then, SALT), later)
    assert set(found.altered) | set(found.moved) <= {n for n in then if then[n] != later.get(n)}
    assert set(found.altered) <= {*PARTS, *DEVICES}
    assert set(found.moved) <= {*PLACE} & later.keys()
    if found.copied:
        assert "machine-id" in then or set(then) & {*PARTS}


@pytest.mark.parametrize(
    ("later", "found"),
    [
        (now(), Changes()),
        (now(machine_id={"1" * 32}), Changes(copied=True)),
        (now(machine_id=set()), Changes(copied=True)),
        (now(disk={"disk-2"}), Changes(altered=("disk",))),  # the network device is the same
        (now(disk={"disk-1", "disk-2"}), Changes(altered=("disk",))),
        (now(nic={"02:00:00:00:00:01"}), Changes(altered=("nic",))),
        (now(disk=set()), Changes(altered=("disk",))),
        (now(disk={"d"}, nic={"n"}), Changes(copied=True, altered=("disk", "nic"))),
        (now(disk=set(), nic=set()), Changes(copied=True, altered=("disk", "nic"))),
        (now(reader={"serial-1 1-3"}), Changes(altered=("reader",))),
        (now(sensor={"other 1-2"}), Changes(altered=("sensor",))),
        (now(sensor=set(), reader=set()), Changes()),  # unplugged: told elsewhere
        (now(reader={"serial-1 1-1", "serial-9 1-9"}), Changes(altered=("reader",))),
        (now(gateway={"02:00:00:00:00:ff"}), Changes(moved=("gateway",))),
        (now(address={"198.51.100.7"}), Changes(moved=("address",))),
        (now(gateway=set(), address=set()), Changes()),  # no network yet
    ],
)
def test_each_change_has_its_name(later: dict[Fact, frozenset[str]], found: Changes) -> None:
    assert changes(KNOWN, later) == found


def test_a_box_of_which_nothing_is_known_is_never_changed() -> None:
    assert changes(remember({}, SALT), HERE) == Changes()
    assert changes(remember({"machine-id": frozenset()}, SALT), HERE) == Changes()


def test_the_place_comes_later_and_what_was_known_stays() -> None:
    parts: dict[Fact, frozenset[str]] = {"disk": HERE["disk"]}
    first = remember(parts, SALT)
    both = remember({"gateway": HERE["gateway"]}, bytes(32), first)
    assert both.salt == first.salt
    assert changes(both, HERE) == Changes()
    assert changes(both, now(gateway={"x"})) == Changes(moved=("gateway",))
    assert changes(both, now(disk={"x"})).altered == ("disk",)


def test_one_of_two_readers_that_is_unplugged_is_no_change() -> None:
    known = remember({**HERE, "reader": frozenset({"a 1-1", "b 1-2"})}, SALT)
    assert changes(known, now(reader={"a 1-1"})) == Changes()
    assert changes(known, now(reader={"a 1-2"})).altered == ("reader",)


# -- what is remembered, and when ------------------------------------------------------------------


def test_a_box_that_remembers_nothing_remembers_all_there_is() -> None:
    """One from before there was anything to remember; or whose record was edited."""
    known = keep_up(UNSET, HERE, SALT, 7)
    assert (known.facts, known.placed_s) == (KNOWN.facts, 7)
    assert keep_up(UNSET, HERE, SALT).placed_s is UNSET


def test_place_and_devices_are_remembered_when_they_are_first_seen_and_parts_are_not() -> None:
    first = remember({"machine-id": HERE["machine-id"]}, SALT)
    later = keep_up(first, HERE, bytes(32))
    assert later.facts.keys() == {"machine-id", *DEVICES, *PLACE}
    assert later.salt == first.salt
    assert {name: later.facts[name] for name in (*DEVICES, *PLACE)} == {
        name: KNOWN.facts[name] for name in (*DEVICES, *PLACE)
    }


def test_what_is_known_is_not_remembered_otherwise_by_itself() -> None:
    elsewhere = now(gateway={"x"}, address={"y"}, reader={"z"}, sensor=set())
    assert keep_up(KNOWN, elsewhere, SALT) is KNOWN
    told = keep_up(KNOWN, elsewhere, SALT, 7)
    assert told.placed_s == 7, "set up before it was placed: there, as far as it knows"
    assert changes(told, elsewhere).moved == ("gateway", "address")
    assert keep_up(told, elsewhere, SALT, 7) is told
    assert keep_up(told, elsewhere, SALT, 6) is told, "a centre that has forgotten"


def test_placed_anew_all_is_remembered_as_it_is_then() -> None:
    before = keep_up(KNOWN, HERE, SALT, 7)
    there = now(gateway={"x"}, address=set(), disk={"new"}, sensor=set())
    anew = keep_up(before, there, SALT, 8)
    assert (anew.placed_s, anew.salt) == (8, before.salt)
    assert changes(anew, there) == Changes()
    assert anew.facts.keys() == HERE.keys() - {"address", "sensor"}
    assert keep_up(anew, now(address={"z"}), SALT, 8).facts["address"]
    assert changes(anew, {**there, "machine-id": frozenset({"1" * 32})}).copied
    lost = keep_up(before, {**there, "machine-id": frozenset()}, SALT, 8)
    assert lost.facts["machine-id"] == KNOWN.facts["machine-id"], "that one never is another"


@given(FACTS, FACTS, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9))
@example({}, {"board": frozenset({"x"})}, 0, 1)
@example({"board": frozenset({"y"})}, {"board": frozenset({"x"})}, 0, 1)
def test_what_has_just_been_remembered_is_as_it_was(then, now_, first_s, later_s) -> None:
    known = keep_up(keep_up(UNSET, then, SALT, first_s), now_, SALT, later_s)
    assert record.decode(record.encode(record.State(known=known))).known == known
    assert keep_up(known, now_, SALT, later_s) == known
    if first_s is not None and later_s is not None and later_s > first_s:
        found = changes(known, now_)
        assert found == Changes(copied=found.copied)


def test_no_value_can_be_read_from_it_nor_compared_between_boxes() -> None:
    text = record.encode(record.State(known=KNOWN)).decode()
    for values in HERE.values():
        assert not any(value in text for value in values)
    other = remember(HERE, bytes(32))
    assert not {h for hs in other.facts.values() for h in hs} & {
        h for hs in KNOWN.facts.values() for h in hs
    }
    same: dict[Fact, frozenset[str]] = {"reader": frozenset({"x"}), "sensor": frozenset({"x"})}
    assert len(set(remember(same, SALT).facts.values())) == 2  # nor one fact with another


def test_a_short_salt_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="salt"):
        remember(HERE, b"short")


def test_more_values_than_there_is_room_for_are_cut_alike_each_time() -> None:
    many: dict[Fact, frozenset[str]] = {"disk": frozenset(map(str, range(40)))}
    known = remember(many, SALT)
    assert len(known.facts["disk"]) == place.MAX_VALUES
    assert changes(known, many) == Changes()
