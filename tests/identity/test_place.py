"""What has changed about a box, from salted hashes of what it was."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.identity import place
from sdbox_agent.identity.place import DEVICES, PARTS, PLACE, Changes, changes, remember
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
