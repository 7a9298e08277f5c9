"""From the card to the question for the person: Checking, Proving, PinEntry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.ends import end, noting, unforeseen
from sdbox_agent.session.events import Timer
from sdbox_agent.session.person import ask_for_code, grants, prepare_finger
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from sdbox_agent.centre import wire
    from sdbox_agent.session.ends import Effects, Step
    from sdbox_agent.session.policy import Policy


def in_checking(state: at.Checking, event: on.Event, policy: Policy) -> Step:
    """The card is valid: say hello to the centre."""
    match event:
        case on.CardAccepted():
            n = state.session.n
            records: Effects = (do.Record(n, "card-valid"),)
            if event.card.expires_in_days is not None:
                records = (*records, do.Record(n, "card-expires-soon"))
            return at.Proving(state.session, event.card), (
                *records,
                do.SetTimer(n, Timer.DEADLINE, policy.centre_s + policy.card_s),
                do.SayHello(n),
            )
        case _:
            return unforeseen(state)


def in_proving(state: at.Proving, event: on.Event, policy: Policy) -> Step:
    """Hello, challenge, proof: the centre's answer decides level and access."""
    n = state.session.n
    match event:
        case on.Challenged() if not state.asked:
            proof = fields.Proof(
                box=policy.box, session=policy.session_id(n), challenge=event.challenge
            )
            return replace(state, asked=True), (do.Sign(n, proof),)
        case on.ProofSigned() if state.asked and not state.sent:
            levels = levels_of(state.card, policy)
            return replace(state, sent=True), (do.SendProof(n, state.card, event.jws, levels),)
        case on.Admitted() if state.sent:
            return _admit(state, event, policy)
        case _:
            return unforeseen(state)


def levels_of(card: on.Card, policy: Policy) -> tuple[Level, ...]:
    """What this box can do with this card, strongest first.

    A match-bound card opens nothing before a match, its 9D included: no reference, no PIN.
    """
    on_card = card.match_bound and card.kind.compares(card.bits)
    able = {
        Level.CARD_MATCH: on_card,
        Level.HOST_MATCH: not card.match_bound and card.kind.comparison == "host",
        Level.CARD_PIN: not card.match_bound and card.pin_left is not None,
    }
    return tuple(level for level in policy.levels if able[level])


def _admit(state: at.Proving, event: on.Admitted, policy: Policy) -> Step:
    """The centre let the card in: is there anything to enter, and a way to verify the person?"""
    session, card, answer = state.session, state.card, event.answer
    access = at.Access(
        card=card,
        answer=answer,
        challenge=answer.challenge,
        comparisons_left=answer.policy.comparisons,
        attempts_left=answer.attempts_left,
        fingers=_fingers(card) if answer.level is Level.CARD_MATCH else (),
    )
    code = _why_not(access, answer, policy)
    if code:
        return end(state, code)
    records = _records(session.n, answer)
    if not _wants_pin(card, answer.level):
        asked, effects = prepare_finger(session, access, policy)
        return asked, (*records, *effects)
    late = do.SetTimer(session.n, Timer.DEADLINE, answer.policy.transaction_s)
    left = card.pin_left or 0
    waiting = at.PinEntry(session, access, left, _pin_hint(card, left))
    return waiting, (*records, late, do.AskPin(session.n))


def _records(n: int, answer: wire.ProofAnswer) -> Effects:
    """That the card was let in, and what the centre has to say to the person."""
    codes = ("card-proved", *answer.notices)
    return tuple(do.Record(n, code, answer.level) for code in codes)


def _fingers(card: on.Card) -> tuple[at.Finger, ...]:
    """Those the card would still compare."""
    both = zip(card.bits, card.match_left, strict=True)
    return tuple(at.Finger(bit.key, bit.position, left) for bit, left in both if left)


def _wants_pin(card: on.Card, level: Level) -> bool:
    if level is Level.HOST_MATCH:
        return card.kind.pin_policy == "once"
    return level is Level.CARD_PIN


def _why_not(access: at.Access, answer: wire.ProofAnswer, policy: Policy) -> str | None:
    level = answer.level
    if level not in levels_of(access.card, policy):
        return "level-not-accepted"
    if not grants(access):
        return "no-project"
    if access.attempts_left == 0:
        return "card-locked"
    if level is Level.HOST_MATCH and answer.reference is None:
        return "reference-missing"
    if level is Level.CARD_MATCH and not access.fingers:
        return "card-blocked"
    if _wants_pin(access.card, level) and not access.card.pin_left:
        return "card-blocked"
    return None


def in_pin_entry(state: at.PinEntry, event: on.Event, policy: Policy) -> Step:
    """The card takes its PIN, or counts a wrong one; the clock runs on meanwhile."""
    n, level = state.session.n, state.access.answer.level
    match event:
        case on.PinEntered():
            accepted = do.Record(n, "pin-accepted", level)
            if level is Level.CARD_PIN:
                return noting(accepted, ask_for_code(state.session, state.access))
            return noting(accepted, prepare_finger(state.session, state.access, policy))
        case on.PinRefused(left=left):
            refused = do.Record(n, "pin-wrong", level)
            if not left:
                return noting(refused, end(state, "card-blocked"))
            hint = "pin-last-try" if left == 1 else "pin-wrong"
            return replace(state, left=left, hint=hint), (refused, do.AskPin(n))
        case _:
            return unforeseen(state)


def _pin_hint(card: on.Card, left: int) -> str:
    if left == 1:
        return "pin-last-try"
    return "enter-pin-on-pad" if card.pad else "enter-pin"
