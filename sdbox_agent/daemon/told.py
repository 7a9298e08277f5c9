"""What the service manager and the journal are told of the core's state: a line, an event.

The line is for whoever asks `systemctl status`: plain, in English like the rest of that page, and
with nothing of a holder's in it. The event is what `journalctl -x` explains in both languages.
"""

from __future__ import annotations

from typing import Final

from sdbox_agent import errors, notify
from sdbox_agent.session import states as at
from sdbox_agent.terms import SessionNumber

_LINES: Final[dict[type[at.State], str]] = {
    at.Idle: "Waiting for a card.",
    at.Checking: "Reading a card.",
    at.Proving: "Asking the centre whether this card may come in.",
    at.PinEntry: "Waiting for the card's PIN.",
    at.CodeEntry: "Waiting for a one-time code.",
    at.Opening: "The card is opening its reference.",
    at.Scanning: "Waiting for a finger.",
    at.Reserving: "The centre is counting the attempt.",
    at.Comparing: "Comparing.",
    at.Choosing: "Waiting for a project to be chosen.",
    at.Signing: "The card is signing for the access.",
    at.Tunnelling: "Opening the tunnel.",
    at.Open: "A session is open.",
    at.Closing: "Closing the tunnel.",
    at.Spent: "The session is over; waiting for the card to be taken out.",
    at.Broken: "Blocked: nobody has confirmed that the tunnel is down.",
}
_AS_IT_SHOULD: Final = frozenset({"card-removed", "cancelled", "shutdown"})


def line(state: at.State) -> str:
    """STATUS= of a state; why it is so comes last, as sentence and code."""
    words = _LINES[type(state)]
    match state:
        case at.Closing(n=0) | at.Spent(n=0):
            return "Starting: making sure that nothing of an earlier session stands."
        case at.Closing() | at.Spent():
            code = errors.code_shown(state.code)
            return f"{words} {errors.explain(code).sentence['en']} ({code})"
        case _:
            return words


def record(state: at.State) -> None:
    """The journal's event of a state that has just been entered, if it has one."""
    match state:
        case at.Open():
            notify.event(
                notify.Event.SESSION_OPENED,
                "tunnel-up",
                session=SessionNumber(state.session.n),
                level=state.access.answer.level,
            )
        case at.Spent(n=0):
            pass
        case at.Spent():
            notify.event(_ended(state.code), state.code, session=SessionNumber(state.n))
        case at.Broken():
            notify.event(
                notify.Event.TUNNEL_NOT_DOWN, "tunnel-not-down", session=SessionNumber(state.n)
            )
        case _:
            pass


def _ended(code: str) -> notify.Event:
    """How a session ended, for those who sort the journal by it."""
    row = errors.table().get(code)
    if code in _AS_IT_SHOULD or row is None:
        return notify.Event.SESSION_CLOSED
    kinds = {"fault": notify.Event.FAULT, "bug": notify.Event.BUG}
    return kinds.get(row.result, notify.Event.REFUSED)
