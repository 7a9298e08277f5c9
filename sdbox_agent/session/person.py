"""What only the person can do: a finger or a one-time code, and the choice of a project."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.ends import end, noting, unforeseen
from sdbox_agent.session.events import Timer
from sdbox_agent.session.tunnelling import sign
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from sdbox_agent.session.ends import Effects, Step
    from sdbox_agent.session.policy import Policy


def grants(access: at.Access) -> tuple[str, ...]:
    """The projects that may be chosen: those shown with a code may not."""
    return tuple(grant.project for grant in access.answer.grants if grant.code is None)


def prepare_finger(session: at.Session, access: at.Access, policy: Policy) -> Step:
    """At host-match the card opens the reference; at card-match it may be asked to compare."""
    answer = access.answer
    sealed = answer.reference if answer.level is Level.HOST_MATCH else None
    limits = (answer.policy.captures, answer.policy.comparisons)
    return at.Opening(session, access), (
        do.SetTimer(session.n, Timer.DEADLINE, policy.reference_s),
        do.PrepareFinger(session.n, access.card, answer.enrolment, sealed, *limits),
    )


def ask_for_code(session: at.Session, access: at.Access) -> Step:
    """At card-pin the centre's one-time code stands in the finger's place."""
    n, transaction_s = session.n, access.answer.policy.transaction_s
    return at.CodeEntry(session, access, "enter-code"), (
        do.ClearTimer(n, Timer.DEADLINE),
        do.SetTimer(n, Timer.TRANSACTION, transaction_s),
        do.WarmTunnel(n),
    )


def in_code_entry(state: at.CodeEntry, event: on.Event, policy: Policy) -> Step:
    """A code costs an attempt, right or wrong."""
    match event:
        case on.CodeEntered():
            return _reserve(state.session, state.access, policy, event.code)
        case _:
            return unforeseen(state)


def _reserve(
    session: at.Session, access: at.Access, policy: Policy, code: str | None = None
) -> Step:
    return at.Reserving(session, access), (
        do.SetTimer(session.n, Timer.DEADLINE, policy.centre_s),
        do.ReserveAttempt(session.n, access.card, access.challenge, code),
    )


def in_opening(state: at.Opening, event: on.Event) -> Step:
    """The finger process is ready: it asks for the finger, once the sensor is clear."""
    match event:
        case on.FingerPrepared():
            n, level = state.session.n, state.access.answer.level
            access = replace(state.access, reference_sha256=event.reference_sha256)
            opened: Effects = ()
            if level is Level.HOST_MATCH:
                opened = (do.Record(n, "reference-opened", level),)
            return at.Scanning(state.session, access, None), (
                *opened,
                do.ClearTimer(n, Timer.DEADLINE),
                do.SetTimer(n, Timer.TRANSACTION, access.answer.policy.transaction_s),
                do.ScanFinger(n),
                do.WarmTunnel(n),
            )
        case _:
            return unforeseen(state)


def in_scanning(state: at.Scanning, event: on.Event, policy: Policy) -> Step:
    """Hints until a probe is good enough; only then is an attempt spent."""
    match event:
        case on.Hinted(code="place-finger"):  # why the last touch was not enough stays on show
            return replace(state, hint=state.hint or event.code, waits=True), ()
        case on.Hinted():
            return replace(state, hint=event.code, waits=False), ()
        case on.ProbePoor():  # costs nothing but time: the transaction's clock runs on
            poor = replace(state, hint=event.code, waits=False)
            return poor, (do.ScanFinger(state.session.n),)
        case on.ProbeReady():
            return _reserve(state.session, state.access, policy)
        case _:
            return unforeseen(state)


def in_reserving(state: at.Reserving, event: on.Event, policy: Policy) -> Step:
    """Counted on both sides: compare, or take the centre's word on the code."""
    match event:
        case on.AttemptReserved():
            n, level = state.session.n, state.access.answer.level
            access = replace(
                state.access,
                challenge=event.challenge,
                attempts_left=event.left,
                comparisons_left=state.access.comparisons_left - 1,
            )
            reserved = do.Record(n, "attempt-reserved", level)
            if level is Level.CARD_PIN:
                told = _code_told(replace(state, access=access), event, policy)
                return noting(reserved, told)
            key = access.fingers[0].key if access.fingers else None
            late_s = policy.card_s if access.fingers else policy.comparison_s
            return at.Comparing(state.session, access, event.attempt), (
                reserved,
                do.SetTimer(n, Timer.DEADLINE, late_s),
                do.CompareFinger(n, event.attempt, key),
            )
        case _:
            return unforeseen(state)


def _code_told(state: at.Reserving, event: on.AttemptReserved, policy: Policy) -> Step:
    match event.code_right:
        case True:
            return _verified(state, event.attempt, "code-accepted", policy)
        case False:
            again = at.CodeEntry(state.session, state.access, "code-wrong")
            return _rejected(state, "code-wrong", again, ())
        case _:  # it says nothing of the code it was given
            return end(state, "centre-answer-invalid")


def in_comparing(state: at.Comparing, event: on.Event, policy: Policy) -> Step:
    """The decision. At host-match more touches may come first: the transaction's clock runs on."""
    match event:
        case on.Hinted(code="place-finger") if not state.access.fingers:
            return replace(state, waits=True), ()
        case on.Hinted() if not state.access.fingers:
            asked = replace(state, hint=event.code, waits=False)
            # A person takes longer than a comparison; asked once, there is no deadline to clear.
            first = state.hint is None
            return asked, (do.ClearTimer(state.session.n, Timer.DEADLINE),) if first else ()
        case on.FingerMatched():
            matched = replace(state, access=replace(state.access, band=event.band))
            return _verified(matched, state.attempt, "finger-matched", policy)
        case on.FingerRejected(left=left):
            fingers = _turned(state.access.fingers, left)
            if state.access.fingers and not fingers:
                record = do.Record(state.session.n, "no-match", state.access.answer.level)
                return noting(record, end(state, "card-blocked"))
            same = [one.key for one in fingers[:1]] == [one.key for one in state.access.fingers[:1]]
            access = replace(state.access, fingers=fingers)
            hint = event.advice or "no-match" if same else "other-finger"
            again = at.Scanning(state.session, access, hint)
            return _rejected(state, "no-match", again, (do.ScanFinger(state.session.n),))
        case _:
            return unforeseen(state)


def _turned(fingers: tuple[at.Finger, ...], left: int | None) -> tuple[at.Finger, ...]:
    """The next finger to ask for: the card counts each by itself, and forgives each by itself."""
    if not fingers:
        return ()
    compared, *others = fingers
    if left is not None:
        compared = replace(compared, left=left)
    return (*others, *((compared,) if compared.left else ()))


def _verified(
    state: at.Comparing | at.Reserving, attempt: int, record: str, policy: Policy
) -> Step:
    """The person is who the card says: on to the project."""
    n, access = state.session.n, state.access
    timed = do.ClearTimer(n, Timer.TRANSACTION)
    matched = do.Record(n, record, access.answer.level)
    projects = grants(access)
    if len(projects) == 1:
        signing, effects = sign(state.session, access, attempt, projects[0], policy)
        return signing, (timed, *effects, matched)  # the keys are made while it is written
    late = do.SetTimer(n, Timer.DEADLINE, policy.choice_s)
    return at.Choosing(state.session, access, attempt), (matched, timed, late)


def _rejected(
    state: at.Comparing | at.Reserving, code: str, again: at.Live, effects: Effects
) -> Step:
    """Once more, while anything is left."""
    n, access = state.session.n, state.access
    refused = do.Record(n, code, access.answer.level)
    if access.attempts_left == 0 or access.comparisons_left <= 0:
        why = "attempts-exhausted" if access.attempts_left else "card-locked"
        return noting(refused, end(state, why))
    return noting(refused, (again, (do.ClearTimer(n, Timer.DEADLINE), *effects)))


def in_choosing(state: at.Choosing, event: on.Event, policy: Policy) -> Step:
    """One of the granted projects."""
    match event:
        case on.ProjectChosen() if event.project in grants(state.access):
            return sign(state.session, state.access, state.attempt, event.project, policy)
        case on.ProjectChosen() | on.UserActive():
            return state, ()  # not one of the offered: the person may choose again
        case _:
            return unforeseen(state)
