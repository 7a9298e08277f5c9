"""What may be seen of the box from outside: a picture of the state, and what a watcher may say.

Codes, labels and numbers only: nothing of the card, the finger or a key is in a state's picture.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from sdbox_agent.ipc import Code, Message, Text
from sdbox_agent.session import states as at
from sdbox_agent.terms import POST_QUANTUM, CarriedBy, PostQuantum

MAX_PROJECTS: Final = 128  # on show: with the longest names there are, a frame holds that many


class WatchBox(Message, frozen=True, kw_only=True, tag="watch"):
    """Send the view now, and each time it changes."""


class AskStatus(Message, frozen=True, kw_only=True, tag="status"):
    """Send the view once."""


class ChooseProject(Message, frozen=True, kw_only=True, tag="choose"):
    """Enter this project."""

    project: Text


class EnterCode(Message, frozen=True, kw_only=True, tag="code"):
    """A one-time code."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{6,8}\Z")]


class CancelSession(Message, frozen=True, kw_only=True, tag="cancel"):
    """Give up."""


class Project(Message, frozen=True, kw_only=True, tag="project"):
    """One row of the choice; with `code`, one that is shown but can't be entered."""

    project: Text
    label: Text
    code: Code | None = None


class LinkView(Message, frozen=True, kw_only=True, tag="link"):
    """The link to the centre. `code` is why it is down."""

    up: bool
    since_ms: Annotated[float, Meta(ge=0)]  # CLOCK_MONOTONIC
    code: Code | None = None


class View(Message, frozen=True, kw_only=True, tag="view"):
    """The box as a person may see it. `code` is why a session ended, or what to do now."""

    state: Text  # the state's name, lower case
    mono_ms: Annotated[float, Meta(ge=0)]  # CLOCK_MONOTONIC, when this became so
    code: Code | None = None
    level: Text | None = None
    project: Text | None = None
    projects: tuple[Project, ...] = ()
    attempts_left: int | None = None  # the least of all that count: session, centre, box, card
    handshake_ms: float | None = None
    vm_ms: float | None = None
    post_quantum: PostQuantum | None = None  # how the open tunnel's preshared key was made
    carrier: CarriedBy | None = None  # what the tunnel travels in
    issuer: Text | None = None  # of tls-inspected: who opens the connection, by its own word
    pin_left: int | None = None  # the card's own tries, while it waits for its PIN
    finger: int | None = None  # the one asked for (ISO/IEC 19794-2:2005), where the card says which
    expires_in_days: int | None = None  # when the card ends soon
    waits: bool = False  # the sensor, for a finger
    notices: tuple[Code, ...] = ()  # what the centre has to say besides
    link: LinkView | None = None
    standing: tuple[Code, ...] = ()  # what is so of the box since its start


class Taken(Message, frozen=True, kw_only=True, tag="taken"):
    """What was said has been handed on."""


class NotTaken(Message, frozen=True, kw_only=True, tag="not-taken"):
    """It can't be done now; `code` stands in errors.toml."""

    code: Code


ToBox = WatchBox | AskStatus | ChooseProject | EnterCode | CancelSession
FromBox = View | Taken | NotTaken


def view(state: at.State, mono_ms: float) -> View:
    """The picture of a state."""
    name = type(state).__name__.lower()
    match state:
        case at.Idle():
            return View(n=state.n, state=name, mono_ms=mono_ms)
        case at.Broken():  # why the session ended would say "insert your card": nothing opens
            return View(n=state.n, state=name, mono_ms=mono_ms, code="tunnel-not-down")
        case at.Closing() | at.Spent():
            issuer = _plain(state.issuer) or None
            return View(n=state.n, state=name, mono_ms=mono_ms, code=state.code, issuer=issuer)
        case at.Checking() | at.Proving():
            return View(n=state.session.n, state=name, mono_ms=mono_ms)
        case _:
            return _inside(state, name, mono_ms)


def _plain(text: str) -> str:
    """What a terminal may be shown: a label comes from the centre, and could hold its commands."""
    return "".join(char if char.isprintable() else " " for char in text)


_Inside = (
    at.PinEntry
    | at.CodeEntry
    | at.Opening
    | at.Scanning
    | at.Reserving
    | at.Comparing
    | at.Choosing
    | at.Signing
    | at.Tunnelling
    | at.Open
)
_Asking = at.PinEntry | at.CodeEntry | at.Scanning | at.Comparing
_Touched = at.Scanning | at.Comparing
_Named = at.Signing | at.Tunnelling | at.Open


def _inside(state: _Inside, name: str, mono_ms: float) -> View:
    answer = state.access.answer
    projects: tuple[Project, ...] = ()
    if isinstance(state, at.Choosing):
        projects = tuple(
            Project(project=grant.project, label=_plain(grant.label), code=grant.code)
            for grant in answer.grants[:MAX_PROJECTS]
        )
    return View(
        n=state.session.n,
        state=name,
        mono_ms=mono_ms,
        code=state.hint if isinstance(state, _Asking) else None,
        level=answer.level.value,
        project=state.project if isinstance(state, _Named) else None,
        projects=projects,
        attempts_left=_attempts_left(state.access),
        handshake_ms=state.handshake_ms if isinstance(state, at.Open) else None,
        vm_ms=state.vm_ms if isinstance(state, at.Open) else None,
        post_quantum=POST_QUANTUM if isinstance(state, at.Open) else None,
        carrier=state.carrier if isinstance(state, at.Open) else None,
        pin_left=state.left if isinstance(state, at.PinEntry) else None,
        finger=_finger(state),
        expires_in_days=state.access.card.expires_in_days,
        waits=isinstance(state, _Touched) and state.waits,
        notices=answer.notices,
    )


def _attempts_left(access: at.Access) -> int:
    """A card that compares counts each of its fingers by itself, and they are asked for in turn."""
    of_card = (sum(finger.left for finger in access.fingers),) if access.fingers else ()
    return min(access.attempts_left, access.comparisons_left, *of_card)


def _finger(state: _Inside) -> int | None:
    """The position the card has for the finger that is asked for next."""
    fingers = state.access.fingers
    return (fingers[0].position or None) if isinstance(state, at.Scanning) and fingers else None
