"""`step`: from a state and an event to the next state and what to do. No I/O, clock or randomness.

Theory of operation. A card going in begins a session, and only that does (a retryable fault may
begin it again on the same card). Each live state asks for one thing and waits for its answer; the
answer leads on, everything unforeseen leads to Closing. Closing takes the tunnel down before all
else and ends only when the helper has said that nothing is up; if nobody says so in time the box is
Broken and opens nothing. What is over stays on show as Spent until the cards are out.

An answer to another session is dropped. `step` never raises. Which events are harmless in which
state is said in one place, `_always`; whatever is not named there or in the state's own function
closes the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.admission import in_checking, in_pin_entry, in_proving
from sdbox_agent.session.ends import (
    CLOSING_S,
    end,
    in_broken,
    in_closing,
    in_idle,
    in_spent,
)
from sdbox_agent.session.events import Timer
from sdbox_agent.session.person import (
    in_choosing,
    in_code_entry,
    in_comparing,
    in_opening,
    in_reserving,
    in_scanning,
)
from sdbox_agent.session.tunnelling import in_open, in_signing, in_tunnelling

if TYPE_CHECKING:
    from sdbox_agent.session.ends import Step
    from sdbox_agent.session.policy import Policy

_LATE: Final[dict[type, str]] = {  # what a state's own deadline means
    at.Checking: "card-mute",
    at.Proving: "centre-slow",
    at.PinEntry: "transaction-timeout",
    at.CodeEntry: "transaction-timeout",
    at.Opening: "card-mute",
    at.Scanning: "finger-timeout",
    at.Reserving: "centre-slow",
    at.Comparing: "finger-worker-died",
    at.Choosing: "transaction-timeout",
    at.Signing: "card-mute",
    at.Tunnelling: "handshake-timeout",
}
_LATE_ON_CARD: Final[dict[type, str]] = {  # where the card compares, and opens no reference
    at.Opening: "finger-worker-died",
    at.Comparing: "card-mute",
}
_ENDS: Final[dict[type[on.Event], str]] = {  # events that end any live session
    on.Cancelled: "cancelled",
    on.Suspended: "box-suspended",
    on.Shutdown: "shutdown",
}
_TIMES_UP: Final[dict[Timer, str]] = {
    Timer.TRANSACTION: "transaction-timeout",
    Timer.IDLE: "session-idle",
    Timer.SESSION: "session-limit",
}


def start() -> Step:
    """The state after start-up: whatever an earlier agent left up is taken down first."""
    return at.Closing(0, "started", frozenset(), None), (
        do.TakeTunnelDown(0),
        do.SetTimer(0, Timer.DEADLINE, CLOSING_S),
    )


def step(state: at.State, event: on.Event, policy: Policy) -> Step:
    """Return the next state and the effects to perform, in order. Never raises."""
    match state:
        case at.Idle():
            return in_idle(state, event, policy)
        case at.Closing():
            return in_closing(state, event, policy)
        case at.Spent():
            return in_spent(state, event, policy)
        case at.Broken():
            return in_broken(state, event, policy)
        case _:
            if isinstance(event, on.Answer) and event.n != state.session.n:
                return state, ()  # a late answer to an earlier session
            return _always(state, event) or _live(state, event, policy)


def _live(state: at.Live, event: on.Event, policy: Policy) -> Step:
    match state:  # no `case _`: mypy names a state that has no line here
        case at.Checking():
            return in_checking(state, event, policy)
        case at.Proving():
            return in_proving(state, event, policy)
        case at.PinEntry():
            return in_pin_entry(state, event, policy)
        case at.CodeEntry():
            return in_code_entry(state, event, policy)
        case at.Opening():
            return in_opening(state, event)
        case at.Scanning():
            return in_scanning(state, event, policy)
        case at.Reserving():
            return in_reserving(state, event, policy)
        case at.Comparing():
            return in_comparing(state, event, policy)
        case at.Choosing():
            return in_choosing(state, event, policy)
        case at.Signing():
            return in_signing(state, event, policy)
        case at.Tunnelling():
            return in_tunnelling(state, event, policy)
        case at.Open():  # pragma: no branch  (mypy: exhaustive)
            return in_open(state, event, policy)


def _late(state: at.Live) -> str:
    kind = type(state)
    if isinstance(state, at.Opening | at.Comparing) and state.access.fingers:
        return _LATE_ON_CARD[kind]
    return _LATE.get(kind, "unforeseen")


def _always(state: at.Live, event: on.Event) -> Step | None:
    """What an event means in whatever live state; None: the state itself must say."""
    insertion = state.session.insertion
    match event:
        case on.CardRemoved() if event.insertion == insertion:
            return end(state, "card-removed", frozenset())
        case on.CardRemoved() | on.PolicyChanged() | on.LinkLost():
            return state, ()  # another reader's card; the next session's; the lease says how long
        case on.Revoked():
            return end(state, event.code)
        case on.CardInserted():
            return end(state, "ambiguous-card", frozenset({insertion, event.insertion}))
        case on.TimedOut(timer=Timer.DEADLINE):
            return end(state, _late(state))
        case on.TimedOut(timer=timer) if timer in _TIMES_UP:
            return end(state, _TIMES_UP[timer])
        case on.CodeEntered() if not isinstance(state, at.CodeEntry):
            return state, ()
        case on.ProjectChosen() | on.UserActive():
            return None if isinstance(state, at.Choosing | at.Open) else (state, ())
        case on.Failed() if not isinstance(state, at.Open):
            return end(state, event.code, issuer=event.issuer)
        case _:
            code = _ENDS.get(type(event))
            return end(state, code) if code else None
