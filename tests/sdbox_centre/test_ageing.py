"""A slow decline asks for a new enrolment: what counts as one, and what the centre keeps of it."""

import functools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import Refused
from sdbox_agent.terms import Band
from sdbox_centre.ageing import FIRST, LATEST, Ageing
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World

ENGINES = BOTH

LETTERS = {band.value[0]: band for band in Band}
SOON = ("re-enrol-soon",)


def aged(letters: str) -> Ageing:
    """After these matches: s, f or w each, the oldest first."""
    return functools.reduce(Ageing.after, (LETTERS[letter] for letter in letters), Ageing())


@pytest.mark.parametrize(
    ("letters", "declined"),
    [
        ("", False),
        ("sssss" "sfffs", False),
        ("sssss" "fwfww", False),
        ("sssss" "wwfww", True),
        ("swfsf" "wwfww", True),
        ("wwfff" "wwwww", False),  # not much better before: a new enrolment would not mend it
        ("sssss" "www", False),  # too few to speak of
        ("sssss" "wwww", True),
        ("sssss" "wsfws" "wfwfw" "fwwfw" "wwwfw", True),  # slowly, over many sessions
        ("sssss" "wwwww" "wwwww", True),  # said until something is done
        ("sssss" "wwwww" "fffww", True),
        ("sssss" "wwwww" "ffffw", False),  # it was the weather
    ],
)  # fmt: skip
def test_a_decline_is_weak_matches_after_better_ones(letters, declined) -> None:
    assert aged(letters).declined is declined
    assert aged(letters).notices == (SOON if declined else ())


@given(st.lists(st.sampled_from(Band), max_size=40))
def test_no_more_than_the_first_and_the_latest_are_kept(bands) -> None:
    kept = functools.reduce(Ageing.after, bands, Ageing())
    assert kept.bands == (*bands[:FIRST], *bands[FIRST:][-LATEST:])


@pytest.mark.parametrize(("weak_share", "told_share"), [(0.05, 0.01), (0.1, 0.05), (0.2, 0.25)])
def test_a_finger_that_stays_as_it_is_seldom_hears_of_it(weak_share, told_share) -> None:
    """A thousand of them, sixty matches each."""
    rng = np.random.default_rng(1)
    told = 0
    for weak in rng.random((1000, 60)) < weak_share:
        kept, ever = Ageing(), False
        for one in weak:
            kept = kept.after(Band.WEAK if one else Band.FAIR)
            ever = ever or kept.declined
        told += ever
    assert told <= told_share * 1000


# -- at the centre ---------------------------------------------------------------------------------


def match(world: World, n: int, band: Band | None):
    """A whole session with a match of that band; what the proof was answered."""
    one = w.session(world, n)
    one.hello()
    answer = one.prove()
    one.attempt()
    one.receipt(band)
    one.end()
    return answer


def kept(world: World) -> list[tuple[str, str, int]]:
    with world.store.begin() as tx:
        return [tuple(row) for row in tx.exec_driver_sql("SELECT * FROM ageing")]


def test_a_finger_that_ages_is_told_so_at_the_next_card_in(world: World) -> None:
    bands = [Band.STRONG] * 5 + [Band.WEAK] * 5
    told = [match(world, n, band).notices for n, band in enumerate(bands, 1)]
    assert told == [()] * 9 + [SOON]
    words = " ".join(["strong"] * 5 + ["weak"] * 5)
    assert kept(world) == [("test-enrolment-01", words, 1)]


def test_what_opened_nothing_counts_for_nothing(world: World) -> None:
    one = w.session(world)
    one.hello()
    one.prove()
    one.attempt()
    with pytest.raises(Refused):
        one.receipt(Band.WEAK, project="p-other")
    assert kept(world) == []


def test_the_same_receipt_twice_counts_once(world: World) -> None:
    one = w.session(world)
    one.hello()
    one.prove()
    one.attempt()
    request = msgspec.structs.replace(one.receipt_request(), band=Band.FAIR)
    assert one.client.receipt(request) == one.client.receipt(request)
    assert [row[1] for row in kept(world)] == ["fair"]


def test_a_box_that_says_nothing_of_it_is_served_as_ever(world: World) -> None:
    assert match(world, 1, None).notices == ()
    assert kept(world) == []


def test_it_is_erased_with_the_enrolment(world: World) -> None:
    match(world, 1, Band.FAIR)
    assert kept(world)
    with world.store.begin() as tx:
        tx.exec_driver_sql("DELETE FROM enrolments")
    assert kept(world) == []
