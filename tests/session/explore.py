"""Every state the machine can reach, with every event in it, and what must hold at each step.

States and events are small frozen values, so the machine is checked whole: breadth first over
(state, what really happened so far). The world keeps its own book of what happened; the promises
are checked against that book, never against what the machine believes.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sdbox_agent.cardkind import Bit
from sdbox_agent.centre import wire
from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.events import Timer
from sdbox_agent.session.machine import start, step
from sdbox_agent.session.policy import Policy
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES, Band, Level
from tests import kinds
from tests.session.promises import BOOKED, NEXT, Book, judge, judge_step

StepFunction = Callable[[at.State, on.Event, Policy], tuple[at.State, tuple[do.Effect, ...]]]

LEVELS = (Level.CARD_MATCH, Level.HOST_MATCH, Level.CARD_PIN)
POLICY = Policy(
    box="box-01", boot_id="boot", levels=LEVELS, retryable=frozenset({"centre-unreachable"})
)
LAST_SESSION = 2
INSERTIONS = (1, 2)
MAX_RENEWALS = 1
MAX_TRIES = 1

CHALLENGE, KEY = bytes(32), b"\2" * 32
KEM_KEY = b"\3" * KEM_KEY_BYTES
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
    peer=KEY, psk_salt=KEY, kem_ciphertext=bytes(KEM_CIPHERTEXT_BYTES),
    endpoint="192.0.2.1:51820", addresses=("10.77.0.2/32",), vm="10.77.0.1",
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
        on.Hinted(n, "place-finger"),
        on.Hinted(n, "press-harder"),
        on.ProbePoor(n, "finger-poor"),
        on.ProbeReady(n),
        on.AttemptReserved(n, 1, 8, NEXT),
        on.AttemptReserved(n, 10, 0, NEXT),
        on.AttemptReserved(n, 1, 8, NEXT, code_right=True),
        on.AttemptReserved(n, 1, 8, NEXT, code_right=False),
        on.FingerMatched(n),
        on.FingerMatched(n, Band.WEAK),
        on.FingerRejected(n),
        on.FingerRejected(n, 0),
        on.FingerRejected(n, advice="other-finger-better"),
        on.TunnelPrepared(n, KEY, KEM_KEY, 1_800_000_000),
        on.ReceiptSigned(n, b"jws"),
        on.Leased(n, LEASE),
        on.TunnelUp(n, 1.0, 1.0),
        on.TunnelUp(n, 1.0, 1.0, "tls"),
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
    on.Revoked("card-revoked"),
    on.Suspended(),
    on.PolicyChanged(),
    on.LinkLost(),
    on.Shutdown(),
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


@dataclass(frozen=True, slots=True)
class Offered:
    """An event and a number for it: equal events have one, and deep values hash slowly."""

    event: on.Event
    number: int
    told: bool  # does the world note this down even if the machine does nothing?


def events_for(state: at.State, book: Book) -> tuple[Offered, ...]:
    """Everything that can happen, the machine's liking apart."""
    n = state.session.n if isinstance(state, at.Live) else state.n
    return _offered(n, book.cards, len(book.seen))


@functools.cache
def _offered(n: int, cards: frozenset[int], seen: int) -> tuple[Offered, ...]:
    return tuple(map(_numbered, _events(n, cards, seen)))


@functools.cache
def _numbered(event: on.Event) -> Offered:
    told = isinstance(event, on.CardInserted | on.CardRemoved | on.TunnelDown)
    return Offered(event, next(_NUMBERS), told)


_NUMBERS = itertools.count()


def _events(n: int, cards: frozenset[int], seen: int) -> Iterator[on.Event]:
    yield from answers(n)
    yield from answers(n - 1 if n else 1)
    yield from WORLD
    for insertion in INSERTIONS:
        if insertion in cards:
            yield on.CardRemoved(insertion)
        elif insertion == seen + 1:
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
        for offered in events_for(state, book):
            event, key = offered.event, (number, offered.number)
            if key not in stepped:
                after, effects = step_function(state, event, POLICY)
                found.transitions.append((state, event, after, effects))
                found.broken.extend(judge_step(state, event, after, effects))
                stepped[key] = after, numbers.setdefault(after, len(numbers)), effects
                if not offered.told and _only_ends(state, after, effects):
                    ends.add(key)
            after, after_number, effects = stepped[key]
            if (after_number, effects) == (number, ()) and not offered.told:
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


def _only_ends(state: at.State, after: at.State, effects: tuple[do.Effect, ...]) -> bool:
    """Is all that `judge` would do to forget the session? It is by far the commonest step."""
    ended = isinstance(state, at.Live) and isinstance(after, at.Closing)
    return ended and not any(isinstance(e, BOOKED) for e in effects)


def _in_bounds(state: at.State) -> bool:
    if isinstance(state, at.Live):
        if isinstance(state, at.Open) and state.renewals > MAX_RENEWALS:
            return False
        return state.session.n <= LAST_SESSION and state.session.tries <= MAX_TRIES
    return state.n <= LAST_SESSION


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
