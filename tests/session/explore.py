"""Every state the machine can reach, with every event in it, and what must hold at each step.

States and events are small frozen values, so the machine is checked whole: breadth first over
(state, what really happened so far). The world keeps its own book of what happened; the promises
are checked against that book, never against what the machine believes.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from sdbox_agent.cardkind import Bit
from sdbox_agent.centre import wire
from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.events import Timer
from sdbox_agent.session.machine import start, step
from sdbox_agent.session.policy import Policy
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from tests import kinds

StepFunction = Callable[[at.State, on.Event, Policy], tuple[at.State, tuple[do.Effect, ...]]]

LEVELS = (Level.CARD_MATCH, Level.HOST_MATCH, Level.CARD_PIN)
POLICY = Policy(
    box="box-01", boot_id="boot", levels=LEVELS, retryable=frozenset({"centre-unreachable"})
)
LAST_SESSION = 2
INSERTIONS = (1, 2)
MAX_RENEWALS = 1
MAX_TRIES = 1

CHALLENGE, NEXT, KEY = bytes(32), b"\1" * 32, b"\2" * 32
FREE_CARD = on.Card(b"9A", b"9D", b"9E", kinds.FREE)
PIN_CARD = on.Card(b"9A", b"9D", b"9E", kinds.PIN, pin_left=2)
BITS = tuple(
    Bit(key=key, position=position, minimum=12, maximum=60, order=9)
    for key, position in (("96", 2), ("97", 7))
)
MATCH_CARD = on.Card(
    b"9A", b"9D", b"9E", kinds.MATCH, BITS, match_left=(1, 2), pin_left=0, match_bound=True,
    expires_in_days=30,
)  # fmt: skip
CARDS = {1: (FREE_CARD, MATCH_CARD), 2: (PIN_CARD,)}  # in session 1, in session 2
ONE = (wire.Grant(project="p1", label="One"),)
TWO = (*ONE, wire.Grant(project="p2", label="Two"))
CLOSED = (wire.Grant(project="p3", label="Three", code="level-not-accepted"),)


def admitted(grants: tuple[wire.Grant, ...], **other: object) -> wire.ProofAnswer:
    values = {
        "level": Level.HOST_MATCH,
        "policy": wire.Policy(version=1, comparisons=2),
        "grants": grants,
        "enrolment": "e1",
        "reference": b"sealed",
        "attempts_left": 9,
        "challenge": CHALLENGE,
    }
    return wire.ProofAnswer(**{**values, **other})  # type: ignore[arg-type]


LEASE = wire.ReceiptAnswer(
    peer=KEY, psk=KEY, endpoint="192.0.2.1:51820", addresses=("10.77.0.2/32",), vm="10.77.0.1",
    lease_s=60, challenge=NEXT,
)  # fmt: skip


@functools.cache
def answers(n: int) -> tuple[on.Event, ...]:
    """Every answer there is, as session `n`'s."""
    return (
        *(on.TimedOut(n, timer) for timer in Timer),
        on.Failed(n, "card-failed"),
        on.Failed(n, "centre-unreachable"),
        *(on.CardAccepted(n, card) for card in CARDS.get(n, (FREE_CARD,))),
        on.Challenged(n, CHALLENGE),
        on.ProofSigned(n, b"jws"),
        on.Admitted(n, admitted(ONE)),
        on.Admitted(n, admitted((*TWO, *CLOSED))),
        on.Admitted(n, admitted(CLOSED)),
        on.Admitted(n, admitted(ONE, attempts_left=0)),
        on.Admitted(n, admitted(ONE, level=Level.CARD_MATCH, reference=None)),
        on.Admitted(n, admitted(ONE, level=Level.CARD_PIN, reference=None)),
        on.Admitted(n, admitted(ONE, reference=None)),
        on.PinEntered(n),
        on.PinRefused(n, 1),
        on.PinRefused(n, 0),
        on.FingerPrepared(n, KEY),
        on.Hinted(n, "press-harder"),
        on.ProbePoor(n, "finger-poor"),
        on.ProbeReady(n),
        on.AttemptReserved(n, 1, 8, NEXT),
        on.AttemptReserved(n, 10, 0, NEXT),
        on.AttemptReserved(n, 1, 8, NEXT, code_right=True),
        on.AttemptReserved(n, 1, 8, NEXT, code_right=False),
        on.FingerMatched(n),
        on.FingerRejected(n),
        on.FingerRejected(n, 0),
        on.TunnelPrepared(n, KEY, 1_800_000_000),
        on.ReceiptSigned(n, b"jws"),
        on.Leased(n, LEASE),
        on.TunnelUp(n, 1.0, 1.0),
        on.RenewalSigned(n, b"jws"),
        on.Renewed(n, 60, NEXT),
        on.TunnelDown(n),
    )


WORLD = (
    on.ProjectChosen("p1"),
    on.ProjectChosen("p2"),
    on.ProjectChosen("p3"),
    on.CodeEntered("123456"),
    on.Cancelled(),
    on.UserActive(),
    on.Revoked(),
    on.Suspended(),
    on.PolicyChanged(),
    on.LinkLost(),
    on.Shutdown(),
)


@dataclass(frozen=True, slots=True)
class Book:
    """What really happened: the world's own account."""

    cards: frozenset[int] = frozenset()  # in a reader now
    seen: frozenset[int] = frozenset()  # insertions that ever were; their numbers grow
    refused: frozenset[int] = frozenset()  # insertions a session ended on, other than retryably
    n: int = 0
    session_card: int | None = None
    facts: frozenset[str] = frozenset()  # of session n
    offered: frozenset[str] = frozenset()  # projects granted in session n
    level: Level | None = None  # decided for session n
    reserved: int = 0  # attempts of session n
    compared: int = 0
    tunnel: bool = False  # open_tunnel asked, not yet confirmed down

    def happened(self, state: at.State, event: on.Event) -> Book:
        """The book after the world did `event`."""
        book = self
        if isinstance(event, on.CardInserted):
            book = replace(
                book, cards=book.cards | {event.insertion}, seen=book.seen | {event.insertion}
            )
        elif isinstance(event, on.CardRemoved):
            book = replace(book, cards=book.cards - {event.insertion})
        elif isinstance(event, on.TunnelDown) and event.n == book.n:
            book = replace(book, tunnel=False)
        elif isinstance(event, on.Answer) and isinstance(state, at.Live) and event.n == book.n:
            names = {type(event).__name__}
            if isinstance(event, on.AttemptReserved) and event.code_right:
                names.add("CodeRight")
            if not names <= book.facts:
                book = replace(book, facts=book.facts | names)
            if isinstance(event, on.Admitted):
                offered = frozenset(g.project for g in event.answer.grants if g.code is None)
                book = replace(book, offered=offered, level=event.answer.level)
        return book

    def forgotten(self) -> Book:
        """The book when its session is over."""
        if not (self.facts or self.offered or self.reserved or self.compared or self.level):
            return self
        return replace(
            self, facts=frozenset(), offered=frozenset(), reserved=0, compared=0, level=None
        )


Transition = tuple[at.State, on.Event, at.State, tuple[do.Effect, ...]]


@dataclass(slots=True)
class Exploration:
    """What was seen: every transition once, and every promise broken."""

    transitions: list[Transition] = field(default_factory=list)
    pairs: int = 0  # of (state, book)
    broken: list[str] = field(default_factory=list)

    @property
    def states(self) -> set[at.State]:
        return {state for state, _, _, _ in self.transitions}


def events_for(state: at.State, book: Book) -> Iterator[on.Event]:
    """Everything that can happen, the machine's liking apart."""
    n = state.session.n if isinstance(state, at.Live) else state.n
    yield from answers(n)
    yield from answers(n - 1 if n else 1)
    yield from WORLD
    for insertion in INSERTIONS:
        if insertion in book.cards:
            yield on.CardRemoved(insertion)
        elif insertion == len(book.seen) + 1:
            yield on.CardInserted(insertion)


def explore(step_function: StepFunction = step, *, stop_at_first: bool = False) -> Exploration:
    """Walk everything reachable from start-up."""
    found = Exploration()
    state, effects = start()
    assert isinstance(effects[0], do.TakeTunnelDown)
    numbers: dict[at.State, int] = {state: 0}  # deep values hash slowly: number them once
    queue = deque([(state, 0, Book())])
    seen = {(0, Book())}
    stepped: dict[tuple[int, int], tuple[at.State, int, tuple[do.Effect, ...]]] = {}
    ends: set[tuple[int, int]] = set()  # steps that end a session and do nothing else
    while queue:
        state, number, book = queue.popleft()
        forgotten = book.forgotten()
        for event in events_for(state, book):
            key = (number, id(_one(event)))
            if key not in stepped:
                after, effects = step_function(state, event, POLICY)
                found.transitions.append((state, event, after, effects))
                found.broken.extend(judge_step(state, event, after, effects))
                stepped[key] = after, numbers.setdefault(after, len(numbers)), effects
                if _only_ends(state, event, after, effects):
                    ends.add(key)
            after, after_number, effects = stepped[key]
            if (after_number, effects) == (number, ()) and not _told(event):
                continue  # no change in the machine, none in the book
            if key in ends:
                then = forgotten
            else:
                then, complaints = judge(state, book, event, after, effects)
                found.broken.extend(complaints)
            if found.broken and stop_at_first:
                return found
            if (after_number, then) not in seen and _in_bounds(after):
                seen.add((after_number, then))
                queue.append((after, after_number, then))
    found.pairs = len(seen)
    return found


def _only_ends(
    state: at.State, event: on.Event, after: at.State, effects: tuple[do.Effect, ...]
) -> bool:
    """Is all that `judge` would do to forget the session? It is by far the commonest step."""
    ended = isinstance(state, at.Live) and isinstance(after, at.Closing)
    return ended and not _told(event) and not any(isinstance(e, BOOKED) for e in effects)


def _told(event: on.Event) -> bool:
    """Does the world note this down even if the machine does nothing?"""
    return isinstance(event, on.CardInserted | on.CardRemoved | on.TunnelDown)


@functools.cache
def _one(event: on.Event) -> on.Event:
    """The one object that stands for all equal events."""
    return event


def _in_bounds(state: at.State) -> bool:
    if isinstance(state, at.Live):
        if isinstance(state, at.Open) and state.renewals > MAX_RENEWALS:
            return False
        return state.session.n <= LAST_SESSION and state.session.tries <= MAX_TRIES
    return state.n <= LAST_SESSION


# -- the promises ----------------------------------------------------------------------------------

NEEDED = {  # what must really have happened before the tunnel opens
    "CardAccepted",
    "Challenged",
    "ProofSigned",
    "Admitted",
    "TunnelPrepared",
    "ReceiptSigned",
    "Leased",
}
VERIFIED = {  # and what must have shown that the person is there, at each level
    Level.HOST_MATCH: {"FingerPrepared", "ProbeReady", "AttemptReserved", "FingerMatched"},
    Level.CARD_MATCH: {"FingerPrepared", "ProbeReady", "AttemptReserved", "FingerMatched"},
    Level.CARD_PIN: {"PinEntered", "CodeRight"},
}


def judge_step(
    state: at.State, event: on.Event, after: at.State, effects: tuple[do.Effect, ...]
) -> list[str]:
    """The promises broken by the step alone, whatever happened before it: asked once a step."""
    broken: list[str] = []

    def promise(kept: bool, what: str) -> None:
        if not kept:
            broken.append(f"{what}: {state} + {event} -> {after}, {effects}")

    if isinstance(state, at.Live):
        gone = isinstance(event, on.CardRemoved) and event.insertion == state.session.insertion
        ended = not isinstance(after, at.Live) or after.session.n != state.session.n
        promise(not gone or ended, "removal closes every live state")
        if ended:
            promise(isinstance(after, at.Closing), "a live state ends in Closing")
            promise(
                bool(effects) and isinstance(effects[0], do.TakeTunnelDown),
                "closing takes the tunnel down before all else",
            )
            wiped = {type(effect) for effect in effects}
            promise(do.EndFinger in wiped and do.CloseCard in wiped, "closing wipes the rest")
        foreign = isinstance(event, on.Answer) and event.n != state.session.n
        promise(not foreign or (after == state and not effects), "late answers change nothing")
        if isinstance(event, on.FingerRejected) and not foreign:
            promise(not isinstance(after, at.Signing | at.Choosing), "a non-match leads nowhere")
        if type(event) in (on.Revoked, on.Suspended, on.Shutdown, on.Cancelled):
            promise(ended, "the centre's and the person's end is an end")
    if isinstance(after, at.Broken) and not isinstance(state, at.Broken):
        promise(isinstance(state, at.Closing), "only Closing breaks")
    if isinstance(state, at.Closing) and not isinstance(after, at.Closing):
        promise(
            isinstance(event, on.TunnelDown) or isinstance(after, at.Broken),
            "Closing ends by the helper's word alone",
        )
        told = any(isinstance(effect, do.TellCentre) for effect in effects)
        recorded = any(
            isinstance(effect, do.Record) and effect.code == state.code for effect in effects
        )
        promise(not state.n or (told and recorded), "every end is recorded and told")
    return broken


def judge(
    state: at.State,
    before: Book,
    event: on.Event,
    after: at.State,
    effects: tuple[do.Effect, ...],
) -> tuple[Book, list[str]]:
    """The book after the step, and the promises it broke in the light of that book."""
    book = before.happened(state, event)
    broken: list[str] = []

    def promise(kept: bool, what: str) -> None:
        if not kept:
            broken.append(f"{what}: {state} + {event} -> {after}, {effects}")

    for effect in effects:
        book = _book_effect(book, state, effect, promise)
    if isinstance(after, at.Open):
        promise(book.tunnel, "Open has a tunnel")
        promise("TunnelUp" in book.facts, "Open was measured up")
        promise(book.session_card in book.cards, "Open has its card")
    if not isinstance(after, at.Live):
        book = book.forgotten()
    if isinstance(after, at.Idle | at.Spent):
        promise(not book.tunnel, "Idle and Spent have no tunnel")
    if isinstance(after, at.Idle) and not isinstance(state, at.Idle):
        promise(not book.cards, "Idle has no card")
    closed = isinstance(state, at.Closing) and not isinstance(after, at.Closing) and state.n
    if closed and state.code != "centre-unreachable" and book.session_card is not None:
        used = {before.session_card} - {None}
        book = replace(book, refused=book.refused | used)  # type: ignore[arg-type]
    return book, broken


BOOKED = (  # the effects that `_book_effect` looks at
    do.OpenCard, do.ReserveAttempt, do.CompareFinger, do.Sign, do.OpenTunnel, do.ExtendLease,
)  # fmt: skip


def _book_effect(
    book: Book, state: at.State, effect: do.Effect, promise: Callable[[bool, str], None]
) -> Book:
    match effect:
        case do.OpenCard():
            promise(not book.tunnel, "no session begins while a tunnel may be up")
            promise(effect.insertion in book.cards, "a session begins on a card that is there")
            promise(effect.insertion not in book.refused, "a refused insertion begins nothing")
            promise(len(book.cards) == 1, "a session begins with one card in the readers")
            promise(effect.n == book.n + 1, "each session has a number of its own")
            return replace(
                book, n=effect.n, session_card=effect.insertion, facts=frozenset(),
                offered=frozenset(), reserved=0, compared=0, level=None,
            )  # fmt: skip
        case do.ReserveAttempt():
            if book.level is Level.CARD_PIN:
                promise(effect.code is not None, "no attempt without a code")
                promise("PinEntered" in book.facts, "no code without the PIN")
            else:
                promise("ProbeReady" in book.facts, "no attempt without a good probe")
            return replace(book, reserved=book.reserved + 1)
        case do.CompareFinger():
            promise(book.compared < book.reserved, "no comparison without a reserved attempt")
            promise(book.compared < 2, "no more comparisons than the policy allows")
            return replace(book, compared=book.compared + 1)
        case do.Sign(statement=fields.Receipt() as receipt):
            shown = book.level is not None and book.facts >= VERIFIED[book.level]
            promise(shown, "no receipt without the person")
            promise(receipt.level is book.level, "a receipt names the level that was decided")
            promise(receipt.project in book.offered, "no receipt for a project not granted")
            promise(receipt.challenge == NEXT, "a receipt signs the newest challenge")
        case do.OpenTunnel():
            needed = NEEDED | VERIFIED[book.level or Level.HOST_MATCH]
            for fact in sorted(needed - book.facts):
                promise(False, f"no tunnel without {fact}")
            promise(book.session_card in book.cards, "no tunnel without the card")
            promise(not isinstance(state, at.Closing), "no tunnel while closing")
            return replace(book, tunnel=True)
        case do.ExtendLease():
            promise(book.tunnel and "Renewed" in book.facts, "no lease without the centre's word")
        case _:
            pass
    return book


def dead_ends(found: Exploration) -> set[at.State]:
    """States from which no Idle is reachable."""
    back: dict[at.State, set[at.State]] = {}
    for state, _, after, _ in found.transitions:
        back.setdefault(after, set()).add(state)
    alive: set[at.State] = {state for state in back if isinstance(state, at.Idle)}
    queue = deque(alive)
    while queue:
        for state in back.get(queue.popleft(), ()):
            if state not in alive:
                alive.add(state)
                queue.append(state)
    return found.states - alive
