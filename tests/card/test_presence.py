"""Readers' looks become insertions and removals."""

from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent import ipc
from sdbox_agent.card.looks import Look
from sdbox_agent.card.presence import Presence


def inserted(reader: str, insertion: int) -> ipc.Inserted:
    return ipc.Inserted(reader=reader, insertion=insertion)


def removed(reader: str, insertion: int) -> ipc.Removed:
    return ipc.Removed(reader=reader, insertion=insertion)


def test_a_card_comes_and_goes() -> None:
    presence = Presence()
    assert presence.update((Look("a", False, 0),)) == [ipc.ReadersChanged(readers=("a",))]
    assert presence.update((Look("a", True, 1),)) == [inserted("a", 1)]
    assert presence.find(1)
    assert presence.update((Look("a", True, 1),)) == []
    assert presence.update((Look("a", False, 2),)) == [removed("a", 1)]
    assert presence.find(1) is None
    assert presence.update((Look("a", True, 3),)) == [inserted("a", 2)]


def test_a_card_that_was_out_between_two_looks_is_a_new_one() -> None:
    """Fault 20."""
    presence = Presence()
    presence.update((Look("a", True, 1),))
    assert presence.update((Look("a", True, 3),)) == [removed("a", 1), inserted("a", 2)]


def test_without_pcscd_nothing_is_there() -> None:
    """Fault 1."""
    presence = Presence()
    presence.update((Look("a", True, 1), Look("b", True, 1)))
    gone = [removed("a", 1), removed("b", 2), ipc.ReadersChanged(readers=())]
    assert presence.update(()) == gone
    back = [inserted("a", 3), ipc.ReadersChanged(readers=("a",))]
    assert presence.update((Look("a", True, 1),)) == back  # counts start again: still a new one


def test_whoever_comes_late_is_told_all() -> None:
    presence = Presence()
    assert presence.report() == [ipc.ReadersChanged(readers=())]
    presence.update((Look("a", True, 1), Look("b", False, 0)))
    assert presence.report() == [inserted("a", 1), ipc.ReadersChanged(readers=("a", "b"))]


LOOKS = st.lists(
    st.builds(Look, st.sampled_from("abc"), st.booleans(), st.integers(0, 3)),
    unique_by=lambda look: look.reader,
    max_size=3,
).map(tuple)


@given(st.lists(LOOKS, max_size=12))
def test_what_is_told_adds_up_to_what_is_there(history: list[tuple[Look, ...]]) -> None:
    presence = Presence()
    here: dict[int, str] = {}
    seen: set[int] = set()
    for looks in history:
        for told in presence.update(looks):
            if isinstance(told, ipc.Inserted):
                assert told.insertion not in seen, "a number is given once"
                seen.add(told.insertion)
                here[told.insertion] = told.reader
            elif isinstance(told, ipc.Removed):
                assert here.pop(told.insertion) == told.reader
        assert sorted(here.values()) == sorted(look.reader for look in looks if look.present)
