"""The record held against a counter: no older copy passes, no cut and no failure locks out."""

import itertools
from collections.abc import Callable, Iterator

import msgspec
import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.state import record, store
from sdbox_agent.state.attempts import LIMIT, Attempts
from sdbox_agent.state.counter import ModelCounter
from sdbox_agent.state.marks import Marks
from sdbox_agent.state.model import ModelFileSystem, PowerCut
from tests.state import counter_contract

CARD = b"\x01" * 32
NOW, DAY_S = 1_800_000_000, 86_400
STARTS_AT = 6  # a chip that has counted before

# A box's life: what is done, and whether its undoing would be worth something.
Act = Callable[[store.Store], object]
LIFE: tuple[tuple[Act, bool], ...] = (
    (lambda kept: Marks(kept).boot(), True),
    (lambda kept: Attempts(kept).reserve(CARD, NOW), True),
    (lambda kept: Marks(kept).hello(utc_s=NOW + DAY_S, wire=0, policy_version=0), False),
    (lambda kept: Attempts(kept).reserve(CARD, NOW), True),
    (lambda kept: Attempts(kept).accepted(CARD), False),
    (lambda kept: Attempts(kept).lower(CARD, 4), True),
    (lambda kept: Marks(kept).crl(CARD, 7), True),
    (lambda kept: Marks(kept).hello(utc_s=NOW + 2 * DAY_S, wire=1, policy_version=1), True),
    (lambda kept: Marks(kept).settings(3), True),
    (lambda kept: Attempts(kept).unlocked(CARD, 1), False),
)


def fault(code: str) -> pytest.RaisesExc[Fault]:
    return pytest.RaisesExc(Fault, match=rf"^{code}$")


def made() -> tuple[ModelFileSystem, ModelCounter, store.Store]:
    disk, counter = ModelFileSystem(), ModelCounter(STARTS_AT)
    return disk, counter, store.create(disk, counter)


def lived(kept: store.Store) -> list[record.State]:
    """Every record of that life, the first too."""
    states = [kept.state]
    for act, _ in LIFE:
        act(kept)
        states.append(kept.state)
    return states


def value(state: record.State) -> record.State:
    """A record without what a save adds."""
    return msgspec.structs.replace(state, generation=0, anchor=msgspec.UNSET)


def test_the_model_counts_as_any_counter_does() -> None:
    counter = ModelCounter(5)
    counter_contract.holds(counter, lambda: counter)


def test_a_step_is_taken_for_what_is_worth_undoing_and_for_nothing_else() -> None:
    _, counter, kept = made()
    for act, worth in LIFE:
        before = counter.stands
        act(kept)
        assert counter.stands - before == worth
        assert kept.state.anchor == counter.stands


def test_every_older_copy_is_refused_once_something_counted_since() -> None:
    disk, counter, kept = made()
    copies = [(dict(disk.contents()), counter.stands)]
    for act, _ in LIFE:
        act(kept)
        copies.append((dict(disk.contents()), counter.stands))
    refused = 0
    for contents, stood in copies:
        older = ModelFileSystem.of({store.NAME: contents[store.NAME]})
        if stood == counter.stands:
            assert store.load(older, counter).state.crl_numbers == kept.state.crl_numbers
        else:
            refused += 1
            with fault("state-rolled-back"):
                store.load(older, counter)
    assert refused == max(n for n, (_, worth) in enumerate(LIFE, 1) if worth)


def test_no_copy_at_hand_gives_an_attempt_back() -> None:
    """Whatever is put back, at whatever moment: refused, or no more attempts than are left."""
    disk, counter, kept = made()
    copies: list[bytes] = []
    tried = 0
    for act, _ in LIFE:
        act(kept)
        copies.append(disk.contents()[store.NAME])
        left = Attempts(kept).left(CARD)
        for copy in copies:
            try:
                older = store.load(ModelFileSystem.of({store.NAME: copy}), counter)
            except Fault:
                continue
            tried += 1
            assert Attempts(older).left(CARD) <= left
    assert tried > len(LIFE)


def lived_until_cut(kept: store.Store) -> int:
    """How many acts were done before the power went."""
    for done, (act, _) in enumerate(LIFE):
        try:
            act(kept)
        except PowerCut:
            return done
    raise AssertionError("no cut")


def cuts() -> Iterator[tuple[int, ModelFileSystem, ModelCounter, list[record.State]]]:
    """Every cut of that life: how many acts were done, a disk it may leave, the counter, its life.

    On the disk's calls, each in its middle; in the counter's, before the step and after it.
    """
    _, _, kept = made()
    whole = [value(state) for state in lived(kept)]
    disk, counter, kept = made()
    first_call = disk.calls
    lived(kept)
    moments = [("disk", at, False) for at in range(first_call, disk.calls)]
    moments += [("counter", at, taken) for at in range(counter.steps) for taken in (False, True)]
    for where, at, taken in moments:
        disk, counter, kept = made()
        if where == "disk":
            disk.cut_at = at
        else:
            counter.at, counter.taken, counter.trouble = at, taken, PowerCut()
        done = lived_until_cut(kept)
        for after in disk.after_cut():
            yield done, after, ModelCounter(counter.stands), whole


def test_no_cut_loses_anything_or_locks_anybody_out() -> None:
    count = 0
    for done, disk, counter, whole in cuts():
        kept = store.load(disk, counter)
        assert value(kept.state) in whole[done : done + 2]
        assert kept.state.anchor == counter.stands
        left = Attempts(kept).left(CARD)
        Marks(kept).boot()  # and it goes on from there
        again = store.load(disk, counter)
        assert Attempts(again).left(CARD) == left <= LIMIT
        count += 1
    assert count >= 200


def test_after_a_cut_the_copy_from_before_it_gives_nothing() -> None:
    """The power goes between file and step: what the file says has not yet been used."""
    disk, counter, kept = made()
    Attempts(kept).reserve(CARD, NOW)
    before = disk.contents()[store.NAME]
    counter.at, counter.trouble = counter.steps, PowerCut()
    with pytest.raises(PowerCut):
        Attempts(kept).reserve(CARD, NOW)
    older = ModelFileSystem.of({store.NAME: before})
    assert Attempts(store.load(older, counter)).left(CARD) == LIMIT - 1  # no comparison has run
    counter.at = None
    newer = store.load(disk, counter)  # the step is taken now
    assert Attempts(newer).left(CARD) == LIMIT - 2
    with fault("state-rolled-back"):
        store.load(ModelFileSystem.of({store.NAME: before}), counter)


@pytest.mark.parametrize("pattern", list(itertools.product((None, False, True), repeat=4)))
def test_a_chip_that_fails_and_comes_back_is_asked_what_it_did(
    pattern: tuple[bool | None, ...],
) -> None:
    """None: the step goes well; else it fails, not taken or taken. Nothing is given meanwhile."""
    disk, counter, kept = made()
    left = LIMIT
    for day, taken in enumerate(pattern):
        counter.at = None if taken is None else counter.steps
        counter.taken = taken is True
        try:
            left = Attempts(kept).reserve(CARD, NOW + day * DAY_S)
        except Fault:
            assert taken is not None
        assert Attempts(kept).left(CARD) == left
        for after in disk.after_cut():
            again = store.load(after, ModelCounter(counter.stands))
            assert Attempts(again).left(CARD) <= left
    counter.at = None
    Marks(kept).hello(utc_s=NOW, wire=0, policy_version=0)  # takes no step
    assert kept.state.anchor == counter.stands
    assert Attempts(store.load(disk, counter)).left(CARD) == left


def test_a_counter_that_somebody_else_moves_is_told() -> None:
    disk, counter, kept = made()
    counter.stands += 1
    with fault("counter-lost"):
        Marks(kept).boot()
    with fault("counter-lost"):  # and stays so
        Marks(kept).boot()
    counter.stands += 5
    with fault("counter-lost"):
        Marks(kept).boot()
    with fault("state-rolled-back"):
        store.load(disk, counter)


def test_another_counter_or_none_is_not_taken_for_it() -> None:
    disk, counter, kept = made()
    for _ in range(3):
        Marks(kept).boot()
    for other in (None, ModelCounter(0), ModelCounter(counter.stands - 2)):
        with fault("counter-lost"):
            store.load(disk, other)
    without = ModelFileSystem()
    store.create(without)
    with fault("state-rolled-back"):  # a record from before there was a counter
        store.load(without, counter)


def test_a_step_missed_by_more_than_one_is_not_made_up() -> None:
    disk, counter, kept = made()
    Marks(kept).boot()
    behind = ModelCounter(counter.stands - 1)
    behind.at, behind.trouble = 0, Fault("tpm-busy")
    with fault("tpm-busy"):
        store.load(disk, behind)
    behind.at = None
    assert store.load(disk, behind).state == kept.state


def test_a_record_of_a_box_without_counter_has_the_form_it_always_had() -> None:
    disk = ModelFileSystem()
    store.create(disk)
    assert b"anchor" not in disk.contents()[store.NAME]
    assert b"known" not in disk.contents()[store.NAME]
