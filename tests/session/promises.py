"""The promises, and the world's own book of what happened, against which they are checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.events import Timer
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from collections.abc import Callable

NEXT = b"\1" * 32  # the challenge that comes with each answer of the centre


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
            if isinstance(event, on.FingerMatched) and event.band:
                names.add(f"matched {event.band}")
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


NEEDED = {  # what must really have happened before the tunnel opens
    "CardAccepted",
    "Challenged",
    "ProofSigned",
    "Admitted",
    "TunnelPrepared",
    "ReceiptSigned",
    "Leased",
    "recorded receipt-signed",
}
PERSON = {"finger-matched", "code-accepted"}  # records that say it was the person
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
        if isinstance(event, on.Hinted) and not ended:
            stopped = any(
                isinstance(e, do.ClearTimers)
                or (isinstance(e, do.SetTimer | do.ClearTimer) and e.timer is Timer.TRANSACTION)
                for e in effects
            )
            promise(not stopped, "no hint stops the transaction's clock")
            left = isinstance(event, on.Answer) and type(after) is not type(state)
            promise(not left, "a hint leads nowhere")
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
    do.OpenCard, do.ReserveAttempt, do.CompareFinger, do.Sign, do.SendReceipt, do.OpenTunnel,
    do.ExtendLease, do.Record,
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
            signed = {f"signs {fields.digest(receipt)!r}", f"names {receipt.kem_key_sha256!r}"}
            return replace(book, facts=book.facts | signed)
        case do.SendReceipt(band=band, kem_key=kem_key):
            named = f"names {hashlib.sha256(kem_key).digest()!r}"
            promise(named in book.facts, "the key beside a receipt is the one it names")
            promise(not band or f"matched {band}" in book.facts, "a band is a match's own")
            told = {fact for fact in book.facts if fact.startswith("matched ")}
            return replace(book, facts=book.facts - told)
        case do.OpenTunnel(receipt_sha256=signed_sha256):
            promise(f"signs {signed_sha256!r}" in book.facts, "a tunnel is for what was signed")
            needed = NEEDED | VERIFIED[book.level or Level.HOST_MATCH]
            for fact in sorted(needed - book.facts):
                promise(False, f"no tunnel without {fact}")
            told = {f"recorded {code}" for code in PERSON}
            promise(bool(told & book.facts), "no tunnel before the record says who it was")
            promise(book.session_card in book.cards, "no tunnel without the card")
            promise(not isinstance(state, at.Closing), "no tunnel while closing")
            return replace(book, tunnel=True)
        case do.Record(code=code) if code in PERSON | {"receipt-signed"}:
            return replace(book, facts=book.facts | {f"recorded {code}"})
        case do.ExtendLease():
            promise(book.tunnel and "Renewed" in book.facts, "no lease without the centre's word")
        case _:
            pass
    return book
