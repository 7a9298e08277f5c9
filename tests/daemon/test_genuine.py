"""A state directory on another machine is refused; what else has changed is told."""

import msgspec
import pytest

from sdbox_agent import errors
from sdbox_agent.daemon import genuine
from sdbox_agent.errors import Fault
from sdbox_agent.identity.place import remember
from sdbox_agent.state.record import Fact, State

HERE: dict[Fact, frozenset[str]] = {
    "machine-id": frozenset({"0" * 32}),
    "disk": frozenset({"disk-1"}),
    "nic": frozenset({"02:00:00:00:00:01"}),
    "gateway": frozenset({"02:00:00:00:00:fe"}),
}
KNOWN = State(known=remember(HERE, bytes(32)))


def test_the_same_machine_in_the_same_place_has_nothing_to_tell_but_its_kind_of_key() -> None:
    assert genuine.examine(KNOWN, HERE, copyable=False) == ()
    assert genuine.examine(KNOWN, HERE, copyable=True) == ("identity-copyable",)
    assert genuine.examine(State(), {}, copyable=True) == ("identity-copyable",)


def test_a_part_exchanged_and_another_place_are_told() -> None:
    later = {**HERE, "disk": frozenset({"d"}), "gateway": frozenset({"g"})}
    told = genuine.examine(KNOWN, later, copyable=True)
    assert told == ("identity-copyable", "machine-altered", "box-moved")
    assert all(errors.explain(code).kind == "Fault" for code in told)


@pytest.mark.parametrize(
    "changed",
    [
        {"machine-id": frozenset({"1" * 32})},
        {"disk": frozenset({"d"}), "nic": frozenset({"n"})},
        {"machine-id": frozenset()},
    ],
)
def test_another_machine_is_refused(changed: dict[Fact, frozenset[str]]) -> None:
    for copyable in (False, True):
        with pytest.raises(Fault, match=r"^state-copied$"):
            genuine.examine(KNOWN, {**HERE, **changed}, copyable=copyable)


def test_a_record_whose_machine_was_cut_out_says_nothing() -> None:
    """Whoever edits the record needs no copy of it: that is not what this is against."""
    cut = msgspec.structs.replace(KNOWN, known=msgspec.UNSET)
    assert genuine.examine(cut, {}, copyable=False) == ()
