"""From the card to the person: Checking, Proving, PinEntry, Opening, Scanning ... Choosing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.ends import end, unforeseen
from sdbox_agent.session.events import Timer
from sdbox_agent.session.tunnelling import sign
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from sdbox_agent.session.ends import Effects, Step
    from sdbox_agent.session.policy import Policy


def in_checking(state: at.Checking, event: on.Event, policy: Policy) -> Step:
    """The card is valid: say hello to the centre."""
    match event:
        case on.CardAccepted():
            n = state.session.n
            return at.Proving(state.session, event.card), (
                do.Record(n, "card-valid"),
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
            return replace(state, sent=True), (do.SendProof(n, state.card, event.jws),)
        case on.Admitted() if state.sent:
            return _admit(state, event, policy)
        case _:
            return unforeseen(state)


def _admit(state: at.Proving, event: on.Admitted, policy: Policy) -> Step:
    """The centre let the card in: is there anything to enter, and a way to verify the person?"""
    session, answer = state.session, event.answer
    access = at.Access(
        card=state.card,
        answer=answer,
        challenge=answer.challenge,
        comparisons_left=answer.policy.comparisons,
        attempts_left=answer.attempts_left,
    )
    code = _why_not(answer.level, access, policy)
    if code:
        return end(state, code)
    record = do.Record(session.n, "card-proved", answer.level)
    if state.card.pin_policy == "once":
        late = do.SetTimer(session.n, Timer.DEADLINE, answer.policy.transaction_s)
        return at.PinEntry(session, access), (record, late)
    opening, effects = _open_reference(session, access, policy)
    return opening, (record, *effects)


def _why_not(level: Level, access: at.Access, policy: Policy) -> str | None:
    if level not in policy.levels or level is not Level.HOST_MATCH:
        return "level-not-accepted"
    if not _grants(access):
        return "no-project"
    if access.attempts_left == 0:
        return "card-locked"
    if access.answer.reference is None:
        return "reference-missing"
    return None


def _grants(access: at.Access) -> tuple[str, ...]:
    """The projects that may be chosen: those shown with a code may not."""
    return tuple(grant.project for grant in access.answer.grants if grant.code is None)


def in_pin_entry(state: at.PinEntry, event: on.Event, policy: Policy) -> Step:
    """The card took its PIN."""
    match event:
        case on.PinEntered():
            return _open_reference(state.session, state.access, policy)
        case _:
            return unforeseen(state)


def _open_reference(session: at.Session, access: at.Access, policy: Policy) -> Step:
    answer = access.answer
    sealed = answer.reference or b""
    return at.Opening(session, access), (
        do.SetTimer(session.n, Timer.DEADLINE, policy.reference_s),
        do.OpenReference(session.n, access.card, answer.enrolment, sealed, answer.policy.captures),
    )


def in_opening(state: at.Opening, event: on.Event) -> Step:
    """The reference is open: ask for the finger."""
    match event:
        case on.ReferenceOpened():
            n = state.session.n
            access = replace(state.access, reference_sha256=event.sha256)
            transaction_s = access.answer.policy.transaction_s
            return at.Scanning(state.session, access, "place-finger"), (
                do.Record(n, "reference-opened", access.answer.level),
                do.ClearTimer(n, Timer.DEADLINE),
                do.SetTimer(n, Timer.TRANSACTION, transaction_s),
                do.ScanFinger(n),
            )
        case _:
            return unforeseen(state)


def in_scanning(state: at.Scanning, event: on.Event, policy: Policy) -> Step:
    """Hints until a probe is good enough; only then is an attempt spent."""
    n = state.session.n
    match event:
        case on.Hinted():
            return replace(state, hint=event.code), ()
        case on.ProbePoor():  # costs nothing but time: the transaction's clock runs on
            return replace(state, hint=event.code), (do.ScanFinger(n),)
        case on.ProbeReady():
            return at.Reserving(state.session, state.access), (
                do.SetTimer(n, Timer.DEADLINE, policy.centre_s),
                do.ReserveAttempt(n, state.access.card, state.access.challenge),
            )
        case _:
            return unforeseen(state)


def in_reserving(state: at.Reserving, event: on.Event, policy: Policy) -> Step:
    """Counted on both sides: compare."""
    match event:
        case on.AttemptReserved():
            n = state.session.n
            access = replace(
                state.access,
                challenge=event.challenge,
                attempts_left=event.left,
                comparisons_left=state.access.comparisons_left - 1,
            )
            return at.Comparing(state.session, access, event.attempt), (
                do.Record(n, "attempt-reserved", access.answer.level),
                do.SetTimer(n, Timer.DEADLINE, policy.comparison_s),
                do.CompareFinger(n, event.attempt),
            )
        case _:
            return unforeseen(state)


def in_comparing(state: at.Comparing, event: on.Event, policy: Policy) -> Step:
    """The decision."""
    n, access = state.session.n, state.access
    level = access.answer.level
    match event:
        case on.FingerMatched():
            matched: Effects = (
                do.Record(n, "finger-matched", level),
                do.ClearTimer(n, Timer.TRANSACTION),
            )
            projects = _grants(access)
            if len(projects) == 1:
                signing, effects = sign(state.session, access, state.attempt, projects[0], policy)
                return signing, (*matched, *effects)
            late = do.SetTimer(n, Timer.DEADLINE, policy.choice_s)
            return at.Choosing(state.session, access, state.attempt), (*matched, late)
        case on.FingerRejected():
            refused = do.Record(n, "no-match", level)
            if access.attempts_left == 0 or access.comparisons_left <= 0:
                code = "attempts-exhausted" if access.attempts_left else "card-locked"
                closing, effects = end(state, code)
                return closing, (*effects, refused)
            return at.Scanning(state.session, access, "no-match"), (
                refused,
                do.ClearTimer(n, Timer.DEADLINE),
                do.ScanFinger(n),
            )
        case _:
            return unforeseen(state)


def in_choosing(state: at.Choosing, event: on.Event, policy: Policy) -> Step:
    """One of the granted projects."""
    match event:
        case on.ProjectChosen() if event.project in _grants(state.access):
            return sign(state.session, state.access, state.attempt, event.project, policy)
        case on.ProjectChosen() | on.UserActive():
            return state, ()  # not one of the offered: the person may choose again
        case _:
            return unforeseen(state)
