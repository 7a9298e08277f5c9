"""Effects in order, timers that end, and a live session that never outlives a failure."""

import itertools

import pytest

from sdbox_agent.daemon import shell as module
from sdbox_agent.daemon.shell import Shell
from sdbox_agent.errors import Fault
from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.ends import CLOSING_S
from tests.daemon.parts import Loop
from tests.session.explore import (
    CHALLENGE,
    FREE_CARD,
    KEM_KEY,
    KEY,
    LEASE,
    NEXT,
    ONE,
    POLICY,
    admitted,
)


class Played:
    """A shell whose effects are written down, and may fail."""

    def __init__(self) -> None:
        self.loop, self.done, self.shown = Loop(), [], []
        self.fails: dict[type, Exception] = {}
        self.blind: Exception | None = None
        self.shell = Shell(self.loop, POLICY, self.perform, self.show)  # type: ignore[arg-type]

    def perform(self, effect: do.Effect) -> None:
        self.done.append(type(effect).__name__)
        if type(effect) in self.fails:
            raise self.fails[type(effect)]

    def show(self, state: at.State) -> None:
        self.shown.append(type(state).__name__)
        if self.blind:
            raise self.blind

    @property
    def state(self) -> at.State:
        return self.shell.state


@pytest.fixture
def idle() -> Played:
    played = Played()
    played.shell.start()
    played.shell.feed(on.TunnelDown(0))
    assert played.shown == ["Closing", "Idle"]
    played.done.clear()
    return played


def test_it_starts_by_taking_down_what_an_earlier_agent_left() -> None:
    played = Played()
    played.shell.start()
    assert played.done == ["TakeTunnelDown"]
    played.loop.move(CLOSING_S)
    assert isinstance(played.state, at.Broken)


def test_effects_are_done_in_order_and_each_new_state_is_shown(idle: Played) -> None:
    idle.shell.feed(on.CardInserted(1))
    assert idle.done == ["Record", "OpenCard"]
    assert idle.shown[-1] == "Checking"
    idle.shell.feed(on.PolicyChanged())
    assert idle.shown[-2:] == ["Idle", "Checking"], "an event that changes nothing shows nothing"


@pytest.mark.parametrize(
    ("error", "code"), [(Fault("audit-full"), "audit-full"), (KeyError("x"), "unforeseen")]
)
def test_a_failing_effect_drops_the_rest_and_closes(
    idle: Played, error: Exception, code: str
) -> None:
    idle.fails[do.Record] = error
    idle.shell.feed(on.CardInserted(1))
    assert idle.state.code == code
    assert "OpenCard" not in idle.done
    assert idle.done[1] == "TakeTunnelDown"


def test_while_closing_one_failure_stops_none_of_the_rest(idle: Played) -> None:
    idle.shell.feed(on.CardInserted(1))
    idle.fails = dict.fromkeys((do.TakeTunnelDown, do.EndFinger, do.CloseCard), KeyError("x"))
    idle.shell.feed(on.CardRemoved(1))
    assert idle.done[-3:] == ["TakeTunnelDown", "EndFinger", "CloseCard"]


def test_an_event_brought_about_by_an_effect_waits_for_its_turn(idle: Played) -> None:
    def perform(effect: do.Effect) -> None:
        idle.done.append(type(effect).__name__)
        if isinstance(effect, do.OpenCard):
            idle.shell.feed(on.CardAccepted(1, FREE_CARD))
            assert isinstance(idle.state, at.Checking), "not in the middle of a step"

    idle.shell._perform = perform
    idle.shell.feed(on.CardInserted(1))
    assert isinstance(idle.state, at.Proving)


def test_a_bug_in_the_table_closes_what_is_open(
    idle: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle.shell.feed(on.CardInserted(1))

    def wrong(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "step", wrong)
    idle.shell.feed(on.UserActive())
    assert idle.state.code == "unforeseen"
    assert idle.done[2] == "TakeTunnelDown"
    idle.shell.feed(on.UserActive())  # and where nothing is open, nothing happens
    assert isinstance(idle.state, at.Closing)


def test_a_session_that_can_t_be_shown_is_closed_and_the_agent_lives(idle: Played) -> None:
    idle.blind = ValueError("frame too large")
    idle.shell.feed(on.CardInserted(1))
    assert idle.state.code == "unforeseen"
    idle.shell.feed(on.TunnelDown(1))
    assert isinstance(idle.state, at.Spent)


def test_a_timer_comes_back_as_an_event_of_its_session(idle: Played) -> None:
    idle.shell.feed(on.CardInserted(1))
    idle.loop.move(POLICY.card_s)
    assert idle.state.code == "card-mute"


def test_another_try_waits_for_this_boxs_own_time_and_nothing_else_does() -> None:
    played = Played()
    played.shell = Shell(played.loop, POLICY, played.perform, played.show, lambda s: s + 1.5)  # type: ignore[arg-type]
    played.shell.start()
    played.shell.feed(on.TunnelDown(0))
    played.shell.feed(on.CardInserted(1))
    assert played.loop.waiting() == [POLICY.card_s]
    played.shell.feed(on.Failed(1, "centre-unreachable"))
    played.shell.feed(on.TunnelDown(1))
    assert played.loop.waiting() == [POLICY.retry_s + 1.5]


def test_timers_of_an_ended_session_are_cancelled(idle: Played) -> None:
    idle.shell.feed(on.CardInserted(1))
    idle.shell.feed(on.CardRemoved(1))
    idle.shell.feed(on.TunnelDown(1))
    assert idle.loop.waiting() == [POLICY.settled_s]
    idle.loop.move(POLICY.settled_s)
    assert isinstance(idle.state, at.Idle)
    assert idle.loop.waiting() == []


def test_a_timer_set_again_replaces_the_first(idle: Played) -> None:
    idle.shell.feed(on.CardInserted(1))
    idle.loop.move(1)
    idle.shell.feed(on.CardAccepted(1, FREE_CARD))
    assert idle.loop.waiting() == [1 + POLICY.centre_s + POLICY.card_s]


# -- the clocks of an open session ---------------------------------------------------------------


class Working(Played):
    """A session that is open, its card and its centre answering at once."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed_s: list[float] = []
        self.link = True
        self.shell.start()
        opening = (
            on.TunnelDown(0),
            on.CardInserted(1),
            on.CardAccepted(1, FREE_CARD),
            on.Challenged(1, CHALLENGE),
            on.ProofSigned(1, b"jws"),
            on.Admitted(1, admitted(ONE)),
            on.FingerPrepared(1, KEY),
            on.ProbeReady(1),
            on.AttemptReserved(1, 1, 8, NEXT),
            on.FingerMatched(1),
            on.TunnelPrepared(1, KEY, KEM_KEY, 0),
            on.ReceiptSigned(1, b"jws"),
            on.Leased(1, LEASE),
            on.TunnelUp(1, 1.0, 1.0),
        )
        for event in opening:
            self.shell.feed(event)
        assert isinstance(self.state, at.Open)

    def perform(self, effect: do.Effect) -> None:
        super().perform(effect)
        match effect:
            case do.Sign() if isinstance(self.state, at.Open):
                self.shell.feed(on.RenewalSigned(1, b"renewal"))
            case do.SendRenewal() if self.link:
                self.renewed_s.append(self.loop.now_s)
                self.shell.feed(on.Renewed(1, LEASE.lease_s, NEXT))
            case do.SendRenewal():
                self.shell.feed(on.Failed(1, "centre-unreachable"))

    def works(self, hours: float, every_s: float = 300.0) -> None:
        """Somebody sends something, now and then."""
        for _ in range(round(hours * 3600 / every_s)):
            self.shell.feed(on.UserActive())
            self.loop.move(every_s)


def test_a_lease_is_renewed_at_half_its_life() -> None:
    working = Working()
    working.works(hours=0.5)
    gaps = [later - earlier for earlier, later in itertools.pairwise(working.renewed_s)]
    assert set(gaps) == {LEASE.lease_s / 2}
    assert len(gaps) > 50


def test_a_renewal_without_an_answer_is_sent_again_until_the_helper_ends_it() -> None:
    working = Working()
    working.link = False
    working.loop.move(LEASE.lease_s)
    assert working.done.count("SendRenewal") == (LEASE.lease_s / 2) // POLICY.renewal_retry_s + 1
    assert isinstance(working.state, at.Open), "the helper holds the lease's clock"
    working.shell.feed(on.Failed(1, "lease-expired"))
    assert working.state.code == "lease-expired"


def test_nothing_sent_for_fifteen_minutes_ends_the_session() -> None:
    working = Working()
    working.loop.move(899)
    assert isinstance(working.state, at.Open)
    working.loop.move(2)
    assert working.state.code == "session-idle"
    assert working.done.count("TakeTunnelDown") == 2  # at the start, and now


def test_work_keeps_a_session_open_until_its_limit() -> None:
    working = Working()
    working.works(hours=11.9)
    assert isinstance(working.state, at.Open)
    working.works(hours=0.2)
    assert working.state.code == "session-limit"


def test_no_renewal_follows_the_card() -> None:
    working = Working()
    working.loop.move(LEASE.lease_s)
    working.shell.feed(on.CardRemoved(1))
    working.shell.feed(on.TunnelDown(1))
    count = len(working.done)
    working.loop.move(3600)
    working.shell.feed(on.UserActive())
    assert working.done[count:] == []
