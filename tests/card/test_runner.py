"""The card's thread, and how long it has been silent."""

import threading
import time

import pytest

from sdbox_agent.card.runner import Link, Runner
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.errors import Refused
from tests.card import contract
from tests.card.double import PivDouble
from tests.waiting import PATIENCE_S, until


def done(runner: Runner) -> None:
    """Wait until everything submitted so far is done."""
    event = threading.Event()
    runner.submit(event.set)
    assert event.wait(PATIENCE_S)


def test_jobs_run_in_order_and_elsewhere() -> None:
    runner, seen = Runner(), []
    for number in range(20):
        runner.submit(lambda number=number: seen.append((number, threading.get_ident())))
    done(runner)
    assert [number for number, _ in seen] == list(range(20))
    assert {thread for _, thread in seen}.isdisjoint({threading.get_ident()})


def test_a_silent_call_is_seen_from_its_submission_on() -> None:
    runner, release = Runner(), threading.Event()
    assert runner.busy_since_s is None
    before_s = time.monotonic()
    runner.submit(lambda: release.wait(PATIENCE_S))
    since_s = runner.busy_since_s
    assert since_s is not None
    assert since_s >= before_s
    release.set()
    done(runner)
    until(lambda: runner.busy_since_s is None)


def test_each_call_starts_the_clock_anew() -> None:
    runner, seen = Runner(), []

    def job() -> None:
        for _ in range(3):
            with runner.call():
                time.sleep(0.01)
                seen.append(runner.busy_since_s)

    runner.submit(job)
    done(runner)
    assert seen == sorted(set(seen))
    assert seen[2] - seen[0] >= 0.02


def test_a_link_keeps_the_contract_of_a_channel() -> None:
    card = ScriptedCard(PivDouble())
    link = Link(Runner(), lambda: card)
    assert link.atr == b""  # connects
    contract.closes_for_good(link)
    assert card.resets == 1


def test_a_stopped_link_says_no_more_but_still_resets() -> None:
    card = ScriptedCard(PivDouble())
    link = Link(Runner(), lambda: card)
    assert link.atr == b""  # connects
    link.stop()
    with pytest.raises(Refused, match="card-removed"):
        link.exchange(contract.SELECT)
    assert (card.frames, card.resets) == ([], 0)
    link.close()
    assert card.resets == 1


def test_a_link_stopped_before_it_was_made_connects_nothing() -> None:
    made = []
    link = Link(Runner(), lambda: made.append(1))
    link.stop()
    with pytest.raises(Refused, match="card-removed"):
        link.exchange(b"")
    assert made == []


def test_a_link_keeps_the_rest_of_the_contract() -> None:
    card = ScriptedCard(PivDouble(), atr=PivDouble.atr)
    link = Link(Runner(), lambda: card)
    contract.shows_its_answer_to_reset(link)
    contract.has_a_reader_without_a_pad(link)
    contract.is_stopped_for_good(link)
    assert (card.frames[-1], card.resets) == (contract.LOG_OUT, 1)


def test_a_person_at_the_pad_is_waited_for() -> None:
    """The time he may lawfully take is not the card's."""
    runner = Runner()
    with runner.call(25.0):
        assert runner.busy_since_s > time.monotonic() + 20
    assert runner.busy_since_s <= time.monotonic()
