"""The core's TLS key is replaced while the old one serves, and whoever can't is told."""

from collections.abc import Callable

import pytest

from sdbox_agent.daemon import freshness
from sdbox_agent.daemon.freshness import Freshness
from sdbox_agent.daemon.patience import Patience
from sdbox_agent.errors import Fault


class Loop:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s, self.due = 0.0, []

    def call_later(self, after_s: float, call: Callable[[], None]) -> None:
        self.due.append((self.now_s + after_s, call))

    def passes(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while ripe := [each for each in self.due if each[0] <= end_s]:
            first = min(ripe, key=lambda each: each[0])
            self.due.remove(first)
            self.now_s = first[0]
            first[1]()
        self.now_s = end_s


class Own:
    """As identity.vouching, of which so much is asked here."""

    due, away, asked = False, False, 0

    def is_due(self) -> bool:
        return self.due

    def freshen(self) -> bool:
        self.asked += 1
        if self.away:
            raise Fault("centre-unreachable")
        was, self.due = self.due, False
        return was


class Bench:
    def __init__(self) -> None:
        self.loop, self.own = Loop(), Own()
        self.renewed: list[float] = []
        self.trouble: list[str] = []
        Freshness(
            self.loop,  # type: ignore[arg-type]
            vouching=self.own,  # type: ignore[arg-type]
            ask=self._ask,
            patience=Patience(lambda: self.loop.now_s, lambda: 0.5),
            renewed=lambda: self.renewed.append(self.loop.now_s),
            trouble=self.trouble.append,
        ).begin()

    def _ask(self, call, answered, failed) -> None:
        try:
            got = call(None)
        except Fault as fault:
            failed(fault.code)
        else:
            answered(got)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_that_is_young_is_left_alone(bench: Bench) -> None:
    bench.loop.passes(3600)
    assert (bench.own.asked, bench.renewed, len(bench.loop.due)) == (0, [], 1)


def test_one_that_is_old_is_replaced_and_the_link_opened_by_the_new(bench: Bench) -> None:
    bench.own.due = True
    bench.loop.passes(3600)
    assert (bench.own.asked, bench.renewed) == (1, [freshness.LOOK_S])
    bench.own.due = True
    bench.loop.passes(3600)
    assert len(bench.renewed) == 2


def test_a_centre_away_is_told_and_asked_again_not_at_once(bench: Bench) -> None:
    bench.own.due = bench.own.away = True
    bench.loop.passes(3600)
    assert bench.trouble == ["centre-unreachable"] * bench.own.asked
    assert 3 <= bench.own.asked <= 5
    bench.own.away = False
    bench.loop.passes(3600)
    assert len(bench.renewed) == 1
    bench.loop.passes(3600)
    assert len(bench.renewed) == 1


def test_one_that_another_call_replaced_meanwhile_moves_no_link(bench: Bench) -> None:
    bench.own.due = True
    bench.own.freshen = lambda: False  # type: ignore[method-assign]
    bench.loop.passes(freshness.LOOK_S)
    assert (bench.renewed, len(bench.loop.due)) == ([], 1)
