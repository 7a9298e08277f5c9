"""Where a session begins and ends: Idle, Closing, Spent, Broken."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.events import Timer

if TYPE_CHECKING:
    from sdbox_agent.session.policy import Policy

Effects = tuple[do.Effect, ...]
Step = tuple[at.State, Effects]

CLOSING_S: Final = 2.0  # design section 5: closing 2 s, whatever the policy of the session says


def in_idle(state: at.Idle, event: on.Event, policy: Policy) -> Step:
    """A card going in begins a session."""
    if isinstance(event, on.CardInserted):
        return begin(at.Session(state.n + 1, event.insertion, 0), policy)
    return state, ()


def begin(session: at.Session, policy: Policy) -> Step:
    """Read the card of `session`."""
    return at.Checking(session), (
        do.Record(session.n, "card-inserted"),
        do.SetTimer(session.n, Timer.DEADLINE, policy.card_s),
        do.OpenCard(session.n, session.insertion),
    )


def in_spent(state: at.Spent, event: on.Event, policy: Policy) -> Step:
    """Only the last card out, or a retryable fault's timer, leads on."""
    match event:
        case on.CardInserted() if not state.cards:
            return begin(at.Session(state.n + 1, event.insertion, 0), policy)
        case on.CardInserted():
            both = replace(state, code="ambiguous-card", cards=state.cards | {event.insertion})
            return both, (do.ClearTimers(state.n),)
        case on.CardRemoved() if state.cards == {event.insertion}:
            return at.Idle(state.n), (do.ClearTimers(state.n),)
        case on.CardRemoved():
            return replace(state, cards=state.cards - {event.insertion}), ()
        case on.TimedOut(state.n, Timer.SETTLE) if not state.cards:
            return at.Idle(state.n), ()
        case on.TimedOut(state.n, Timer.RETRY) if _may_retry(state, policy):
            (insertion,) = state.cards
            return begin(at.Session(state.n + 1, insertion, state.tries + 1), policy)
        case _:
            return state, ()


def _may_retry(state: at.Spent, policy: Policy) -> bool:
    return state.code in policy.retryable and len(state.cards) == 1


def end(state: at.Live, code: str, cards: frozenset[int] | None = None, issuer: str = "") -> Step:
    """Close for the reason `code`: the tunnel first. The effects' order is the promise.

    `cards` are the insertions still in a reader; by default the session's own. `issuer`: for show.
    """
    n, insertion, tries = state.session.n, state.session.insertion, state.session.tries
    cards = frozenset({insertion}) if cards is None else cards
    return at.Closing(n, code, cards, insertion, tries, issuer), (
        do.TakeTunnelDown(n),
        do.ClearTimers(n),
        do.SetTimer(n, Timer.DEADLINE, CLOSING_S),
        do.EndFinger(n),
        do.CloseCard(n),
    )


def noting(record: do.Record, step: Step) -> Step:
    """`step` with a record of what led to it: first, but never before the tunnel goes down."""
    state, effects = step
    if isinstance(state, at.Closing):
        return state, (*effects, record)
    return state, (record, *effects)


def unforeseen(state: at.Live) -> Step:
    """Nothing in this state allows what happened."""
    return end(state, "unforeseen")


def in_closing(state: at.Closing, event: on.Event, policy: Policy) -> Step:
    """Wait for the helper's word; watch the readers meanwhile."""
    match event:
        case on.TunnelDown(state.n):
            return _finish(state, policy)
        case on.TimedOut(state.n, Timer.DEADLINE):
            return at.Broken(state.n, state.code, state.cards), (
                *_report(state.n, state.code),
                do.Record(state.n, "tunnel-not-down"),
            )
        case on.CardInserted():
            return replace(state, cards=state.cards | {event.insertion}), ()
        case on.CardRemoved():
            return replace(state, cards=state.cards - {event.insertion}), ()
        case _:
            return state, ()


def _finish(state: at.Closing, policy: Policy) -> Step:
    """Nothing is up. A card that came in since may begin; the used one must come out first."""
    reported = _report(state.n, state.code)
    if len(state.cards) == 1 and state.used not in state.cards:
        (insertion,) = state.cards
        begun, effects = begin(at.Session(state.n + 1, insertion, 0), policy)
        return begun, (do.ClearTimers(state.n), *reported, *effects)
    if not state.cards and state.used is None:
        return at.Idle(state.n), (do.ClearTimers(state.n), *reported)
    code = "ambiguous-card" if len(state.cards) > 1 else state.code
    spent = at.Spent(state.n, code, state.cards, state.tries, state.issuer)
    timer: Effects = ()
    if not state.cards:
        timer = (do.SetTimer(state.n, Timer.SETTLE, policy.settled_s),)
    elif _may_retry(spent, policy):
        timer = (do.SetTimer(state.n, Timer.RETRY, policy.back_off_s(state.tries, state.code)),)
    return spent, (do.ClearTimers(state.n), *reported, *timer)


def _report(n: int, code: str) -> Effects:
    if n == 0:  # start-up: there was no session to tell of
        return ()
    return do.Record(n, code), do.TellCentre(n, code)


def in_broken(state: at.Broken, event: on.Event, policy: Policy) -> Step:
    """Only the helper's word mends it."""
    match event:
        case on.TunnelDown(state.n):
            timer = () if state.cards else (do.SetTimer(state.n, Timer.SETTLE, policy.settled_s),)
            mended = at.Spent(state.n, state.code, state.cards)
            return mended, (do.Record(state.n, "tunnel-confirmed-down"), *timer)
        case on.CardInserted():
            return replace(state, cards=state.cards | {event.insertion}), ()
        case on.CardRemoved():
            return replace(state, cards=state.cards - {event.insertion}), ()
        case _:
            return state, ()
