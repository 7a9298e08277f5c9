"""Faults planted in the machine. Each must be caught: they prove that the exploration bites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.events import Timer
from sdbox_agent.session.machine import step
from sdbox_agent.session.policy import Policy
from sdbox_agent.statements import fields
from sdbox_agent.terms import Band, Level

Step = tuple[at.State, tuple[do.Effect, ...]]
Fault = Callable[[at.State, on.Event, Policy], Step]


def a_timeout_counts_as_a_match(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Comparing) and isinstance(event, on.TimedOut):
        event = on.FingerMatched(state.session.n)
    return step(state, event, policy)


def late_answers_are_taken(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Live) and isinstance(event, on.Answer):
        event = replace(event, n=state.session.n)
    return step(state, event, policy)


def removal_is_ignored_while_open(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Open) and isinstance(event, on.CardRemoved):
        return state, ()
    return step(state, event, policy)


def comparisons_never_run_out(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Comparing):
        state = replace(state, access=replace(state.access, comparisons_left=1, attempts_left=1))
    return step(state, event, policy)


def the_comparison_is_skipped(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Reserving) and isinstance(event, on.AttemptReserved):
        after, _ = step(state, event, policy)
        return step(after, on.FingerMatched(event.n), policy)
    return step(state, event, policy)


def an_attempt_costs_nothing(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Scanning) and isinstance(event, on.ProbeReady):
        comparing = at.Comparing(state.session, state.access, 0)
        return comparing, (do.CompareFinger(event.n, 0),)
    return step(state, event, policy)


def any_project_will_do(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Choosing) and isinstance(event, on.ProjectChosen):
        signing = at.Signing(state.session, state.access, state.attempt, event.project)
        return signing, (do.PrepareTunnel(state.session.n),)
    return step(state, event, policy)


def a_refused_project_can_be_entered(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(event, on.Admitted):
        grants = tuple(type(g)(project=g.project, label=g.label) for g in event.answer.grants)
        values = {name: getattr(event.answer, name) for name in event.answer.__struct_fields__}
        event = on.Admitted(event.n, type(event.answer)(**{**values, "grants": grants}))
    return step(state, event, policy)


def the_card_is_reset_before_the_tunnel(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    if isinstance(state, at.Live) and isinstance(after, at.Closing):
        effects = tuple(sorted(effects, key=lambda effect: not isinstance(effect, do.CloseCard)))
    return after, effects


def closing_believes_the_clock(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Closing) and isinstance(event, on.TimedOut) and event.n == state.n:
        event = on.TunnelDown(state.n)
    return step(state, event, policy)


def broken_mends_itself(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Broken) and isinstance(event, on.CardRemoved):
        return at.Idle(state.n), ()
    return step(state, event, policy)


def a_refused_card_may_try_again(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Spent) and len(state.cards) == 1 and event == on.UserActive():
        (insertion,) = state.cards
        session = at.Session(state.n + 1, insertion, 0)
        return at.Checking(session), (do.OpenCard(session.n, insertion),)
    return step(state, event, policy)


def a_second_card_changes_nothing(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Spent) and isinstance(event, on.CardInserted):
        session = at.Session(state.n + 1, event.insertion, 0)
        return at.Checking(session), (do.OpenCard(session.n, event.insertion),)
    return step(state, event, policy)


def an_old_challenge_is_signed(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    if isinstance(after, at.Comparing) and isinstance(state, at.Reserving):
        after = replace(after, access=replace(after.access, challenge=state.access.challenge))
    return after, effects


def revocation_waits(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(event, on.Revoked | on.Suspended):
        return state, ()
    return step(state, event, policy)


def the_end_is_not_told(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    return after, tuple(e for e in effects if not isinstance(e, do.TellCentre))


def the_receipt_goes_out_unsigned(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Signing) and isinstance(event, on.TunnelPrepared):
        tunnelling = at.Tunnelling(state.session, state.access, state.project, bytes(32))
        return tunnelling, (do.SendReceipt(event.n, state.access.card, b"", event.kem_key),)
    return step(state, event, policy)


def up_is_believed_unmeasured(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Tunnelling) and isinstance(event, on.Leased) and state.lease is None:
        after, effects = step(state, event, policy)
        opened, more = step(after, on.TunnelUp(event.n, 0, 0), policy)
        return opened, (*effects, *more)
    return step(state, event, policy)


def a_lease_renews_itself(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Open) and event == on.TimedOut(state.session.n, Timer.RENEW):
        return state, (do.ExtendLease(event.n, 60),)
    return step(state, event, policy)


def the_receipt_names_no_match(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    if isinstance(after, at.Opening) and isinstance(state, at.Proving):
        sign = do.Sign(after.session.n, _receipt(after))
        effects = (*effects, sign)
    return after, effects


def _receipt(state: at.Opening) -> fields.Receipt:
    answer = state.access.answer
    return fields.Receipt(
        box="box-01", session="boot-1", challenge=answer.challenge, enrolment=answer.enrolment,
        attempt=1, level=answer.level, project="p1", wg_public_key=bytes(32),
        kem_key_sha256=bytes(32), utc_s=0,
    )  # fmt: skip


def a_right_code_needs_no_pin(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.PinEntry) and isinstance(event, on.CodeEntered):
        access = state.access
        reserve = do.ReserveAttempt(state.session.n, access.card, access.challenge, event.code)
        return at.Reserving(state.session, access), (reserve,)
    return step(state, event, policy)


def a_wrong_code_is_as_good(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(event, on.AttemptReserved) and event.code_right is False:
        event = replace(event, code_right=True)
    return step(state, event, policy)


def a_finger_that_fails_turns_into_a_code(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Comparing) and isinstance(event, on.FingerRejected):
        answer = msgspec.structs.replace(state.access.answer, level=Level.CARD_PIN)
        access = replace(state.access, answer=answer)
        return at.CodeEntry(state.session, access, "enter-code"), ()
    return step(state, event, policy)


def another_touch_is_another_comparison(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Comparing) and isinstance(event, on.Hinted):
        return step(state, event, policy)[0], (do.CompareFinger(event.n, state.attempt),)
    return step(state, event, policy)


def a_touch_gives_the_transaction_more_time(
    state: at.State, event: on.Event, policy: Policy
) -> Step:
    after, effects = step(state, event, policy)
    if (
        isinstance(after, at.Comparing)
        and isinstance(event, on.Hinted)
        and event.n == after.session.n
    ):
        effects = (*effects, do.SetTimer(event.n, Timer.TRANSACTION, 60))
    return after, effects


def a_hint_within_an_attempt_is_a_match(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Comparing) and isinstance(event, on.Hinted):
        event = on.FingerMatched(event.n)
    return step(state, event, policy)


def another_key_goes_beside_the_receipt(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    return after, tuple(
        replace(effect, kem_key=b"other") if isinstance(effect, do.SendReceipt) else effect
        for effect in effects
    )


def a_tunnel_is_for_another_receipt(state: at.State, event: on.Event, policy: Policy) -> Step:
    if isinstance(state, at.Tunnelling):
        state = replace(state, receipt_sha256=bytes(32))
    return step(state, event, policy)


def a_band_is_made_up(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    return after, tuple(
        replace(effect, band=Band.STRONG) if isinstance(effect, do.SendReceipt) else effect
        for effect in effects
    )


def a_match_leaves_no_record(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    return after, tuple(e for e in effects if getattr(e, "code", None) != "finger-matched")


def a_receipt_is_recorded_with_the_tunnel(state: at.State, event: on.Event, policy: Policy) -> Step:
    after, effects = step(state, event, policy)
    effects = tuple(e for e in effects if getattr(e, "code", None) != "receipt-signed")
    if isinstance(state, at.Tunnelling) and isinstance(after, at.Open):
        effects = (do.Record(state.session.n, "receipt-signed"), *effects)
    return after, effects


FAULTS: tuple[Fault, ...] = (
    a_match_leaves_no_record,
    a_receipt_is_recorded_with_the_tunnel,
    another_touch_is_another_comparison,
    a_touch_gives_the_transaction_more_time,
    a_hint_within_an_attempt_is_a_match,
    a_band_is_made_up,
    another_key_goes_beside_the_receipt,
    a_tunnel_is_for_another_receipt,
    a_right_code_needs_no_pin,
    a_wrong_code_is_as_good,
    a_finger_that_fails_turns_into_a_code,
    a_timeout_counts_as_a_match,
    late_answers_are_taken,
    removal_is_ignored_while_open,
    comparisons_never_run_out,
    the_comparison_is_skipped,
    an_attempt_costs_nothing,
    any_project_will_do,
    a_refused_project_can_be_entered,
    the_card_is_reset_before_the_tunnel,
    closing_believes_the_clock,
    broken_mends_itself,
    a_refused_card_may_try_again,
    a_second_card_changes_nothing,
    an_old_challenge_is_signed,
    revocation_waits,
    the_end_is_not_told,
    the_receipt_goes_out_unsigned,
    up_is_believed_unmeasured,
    a_lease_renews_itself,
    the_receipt_names_no_match,
)
