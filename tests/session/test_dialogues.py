"""One dialogue a user story."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.events import Timer
from sdbox_agent.session.machine import step
from sdbox_agent.terms import Band, Level
from tests.session.dialogue import Dialogue
from tests.session.explore import (
    CHALLENGE,
    FREE_CARD,
    KEM_KEY,
    KEY,
    LEASE,
    MATCH_CARD,
    NEXT,
    ONE,
    PIN_CARD,
    POLICY,
    TWO,
    admitted,
)

CLOSE = "TakeTunnelDown EndFinger CloseCard"


def scanning(grants: tuple = ONE) -> Dialogue:
    story = Dialogue(at.Idle(0))
    story >> on.CardInserted(1) << "OpenCard"
    story >> on.CardAccepted(1, FREE_CARD) << "SayHello"
    story >> on.Challenged(1, CHALLENGE) << "Sign(proof)"
    story >> on.ProofSigned(1, b"jws") << "SendProof"
    story >> on.Admitted(1, admitted(grants)) << "PrepareFinger"
    story >> on.FingerPrepared(1, KEY) << "ScanFinger WarmTunnel"
    return story.now(at.Scanning)


def compared(story: Dialogue, decision: on.Event, left: int = 8) -> Dialogue:
    story >> on.ProbeReady(1) << "ReserveAttempt"
    story >> on.AttemptReserved(1, 1, left, NEXT) << "CompareFinger"
    return story >> decision


def leased() -> Dialogue:
    story = compared(scanning(), on.FingerMatched(1)) << "PrepareTunnel"
    story >> on.TunnelPrepared(1, KEY, KEM_KEY, 0) << "Sign(receipt)"
    story >> on.ReceiptSigned(1, b"jws") << "SendReceipt"
    story >> on.Leased(1, LEASE) << "OpenTunnel"
    return story.records("post-quantum")


def opened() -> Dialogue:
    story = leased()
    story >> on.TunnelUp(1, 1.0, 1.0) << "EndFinger"
    return story.records("tunnel-up").now(at.Open)


def test_card_finger_tunnel_and_card_out() -> None:
    story = opened()
    story >> on.CardRemoved(1) << CLOSE
    story >> on.TunnelDown(1) << "TellCentre"
    story.records("card-removed").now(at.Spent)
    story >> on.TimedOut(1, Timer.SETTLE) << ""
    story.now(at.Idle)


def test_where_no_udp_gets_through_the_record_says_what_carries() -> None:
    story = leased()
    story >> on.TunnelUp(1, 1.0, 1.0, "tls") << "EndFinger"
    story.records("tunnel-up-carried").now(at.Open)
    assert story.state.carrier == "tls"


def test_who_opens_tls_is_remembered_until_the_card_is_out() -> None:
    story = leased()
    story >> on.Failed(1, "tls-inspected", "CN=Test") << CLOSE
    story >> on.TunnelDown(1) << "TellCentre"
    story.records("tls-inspected").now(at.Spent)
    assert story.state.issuer == "CN=Test"


def test_faults_46_and_52_a_silent_sensor_and_touches_without_end_have_a_minute() -> None:
    """The transaction's clock is set before the first scan and by nothing after it."""
    story = scanning()
    for _ in range(100):
        story >> on.ProbePoor(1, "too-short-touch") << "ScanFinger"
        assert not [effect for effect in story.effects if isinstance(effect, do.SetTimer)]
    story >> on.TimedOut(1, Timer.TRANSACTION) << CLOSE
    assert story.state.code == "transaction-timeout"


def test_with_two_projects_the_person_chooses_and_a_wrong_name_costs_nothing() -> None:
    story = compared(scanning(TWO), on.FingerMatched(1)) << ""
    story.now(at.Choosing) >> on.ProjectChosen("p9") << ""
    story.now(at.Choosing) >> on.ProjectChosen("p2") << "PrepareTunnel"
    assert story.state.project == "p2"


def test_a_wrong_finger_may_try_again_until_the_policy_says_no() -> None:
    story = compared(scanning(), on.FingerRejected(1)) << "ScanFinger"
    assert story.records("no-match").state.hint == "no-match"
    compared(story, on.FingerRejected(1)) << CLOSE
    assert story.state.code == "attempts-exhausted"


def test_a_poor_capture_costs_no_attempt() -> None:
    story = scanning() >> on.ProbePoor(1, "finger-poor") << "ScanFinger"
    assert story.now(at.Scanning).state.hint == "finger-poor"
    assert story.state.access.attempts_left == 9


def test_why_a_touch_was_not_enough_stays_on_show_while_the_sensor_waits() -> None:
    story = scanning() >> on.Hinted(1, "place-finger")
    assert (story.state.hint, story.state.waits) == ("place-finger", True)
    story >> on.Hinted(1, "finger-wet") << ""
    assert (story.state.hint, story.state.waits) == ("finger-wet", False)
    story >> on.Hinted(1, "place-finger") << ""
    assert (story.state.hint, story.state.waits) == ("finger-wet", True)


def test_an_attempt_may_ask_for_more_touches_within_the_transaction_s_time() -> None:
    story = compared(scanning(), on.Hinted(1, "finger-dry")) << ""
    assert story.effects == (do.ClearTimer(1, Timer.DEADLINE),)
    story >> on.Hinted(1, "place-finger") << ""
    assert (story.now(at.Comparing).state.hint, story.state.waits) == ("finger-dry", True)
    story >> on.Hinted(1, "lift-and-place") << ""
    assert story.effects == ()
    story >> on.FingerMatched(1, Band.FAIR) << "PrepareTunnel"
    assert story.records("finger-matched").state.attempt == 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (on.TimedOut(1, Timer.TRANSACTION), "transaction-timeout"),
        (on.CardRemoved(1), "card-removed"),
        (on.Failed(1, "sensor-missing"), "sensor-missing"),
        (on.Failed(1, "replayed-sample"), "replayed-sample"),
    ],
)
def test_an_attempt_that_waits_for_a_touch_ends_as_any_other(event, code) -> None:
    story = compared(scanning(), on.Hinted(1, "lift-and-place"))
    story >> event << CLOSE
    assert story.state.code == code


def test_a_card_that_compares_is_shown_one_touch() -> None:
    story = compared(on_card(), on.Hinted(1, "lift-and-place")) << CLOSE
    assert story.state.code == "unforeseen"


def test_a_finger_that_failed_again_may_be_told_of_the_other() -> None:
    story = compared(scanning(), on.FingerRejected(1, advice="other-finger-better"))
    assert story.records("no-match").state.hint == "other-finger-better"


def test_how_clear_the_match_was_goes_with_the_receipt_and_no_further() -> None:
    story = compared(scanning(), on.FingerMatched(1, Band.WEAK)) << "PrepareTunnel"
    story >> on.TunnelPrepared(1, KEY, KEM_KEY, 0) << "Sign(receipt)"
    story >> on.ReceiptSigned(1, b"jws") << "SendReceipt"
    (sent,) = [effect for effect in story.effects if isinstance(effect, do.SendReceipt)]
    assert sent.band is Band.WEAK
    assert story.state.access.band is None


def test_what_the_centre_has_to_say_is_recorded_as_the_card_is_let_in() -> None:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, FREE_CARD)
    story >> on.Challenged(1, CHALLENGE) >> on.ProofSigned(1, b"jws")
    story >> on.Admitted(1, admitted(ONE, notices=("re-enrol-soon",))) << "PrepareFinger"
    story.records("card-proved", "re-enrol-soon")


def test_the_card_s_last_attempt_locks_it() -> None:
    story = compared(scanning(), on.FingerRejected(1), left=0) << CLOSE
    assert story.state.code == "card-locked"


def test_a_refused_card_left_in_the_reader_starts_nothing() -> None:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1)
    story >> on.Failed(1, "card-revoked") << CLOSE
    story >> on.TunnelDown(1) << "TellCentre"
    for timer in Timer:
        story.now(at.Spent) >> on.TimedOut(1, timer) << ""
    story >> on.CardRemoved(1) << ""
    story.now(at.Idle) >> on.CardInserted(2) << "OpenCard"


def test_a_centre_that_comes_back_is_asked_again_by_itself() -> None:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, FREE_CARD)
    story >> on.Failed(1, "centre-unreachable") << CLOSE
    story >> on.TunnelDown(1) << "TellCentre"
    story >> on.TimedOut(1, Timer.RETRY) << "OpenCard"
    assert story.state.session == at.Session(2, 1, 1)


def test_a_card_pulled_and_put_back_while_closing_begins_a_new_session() -> None:
    story = opened() >> on.CardRemoved(1) >> on.CardInserted(2) << ""
    story >> on.TunnelDown(1) << "TellCentre OpenCard"
    assert story.state.session == at.Session(2, 2, 0)


def test_a_helper_that_says_nothing_breaks_the_box_until_it_speaks() -> None:
    story = opened() >> on.CardRemoved(1)
    story >> on.TimedOut(1, Timer.DEADLINE) << "TellCentre"
    story.records("card-removed", "tunnel-not-down").now(at.Broken)
    story >> on.CardInserted(2) << ""
    story.now(at.Broken) >> on.TunnelDown(1) << ""
    story.now(at.Spent) >> on.CardRemoved(2) << ""
    story.now(at.Idle)


def test_a_lease_is_renewed_by_the_card_and_survives_a_lost_link() -> None:
    story = opened() >> on.TimedOut(1, Timer.RENEW) << "Sign(renew)"
    story >> on.RenewalSigned(1, b"r1") << "SendRenewal"
    story >> on.Failed(1, "centre-unreachable") << ""
    story >> on.LinkLost() << ""
    story >> on.TimedOut(1, Timer.RENEW) << "SendRenewal"
    story >> on.Renewed(1, 60, NEXT) << "ExtendLease"
    story.now(at.Open) >> on.TimedOut(1, Timer.RENEW) << "Sign(renew)"
    assert story.effects[0].statement.n == 2


def test_what_else_fails_while_a_renewal_is_awaited_ends_the_session() -> None:
    """Whatever a new session on the same card may be tried after."""
    policy = replace(POLICY, retryable=frozenset({"tunnel-lost"}))
    story = opened() >> on.TimedOut(1, Timer.RENEW) >> on.RenewalSigned(1, b"r1")
    after, _ = step(story.state, on.Failed(1, "tunnel-lost"), policy)
    assert isinstance(after, at.Closing)


def test_a_refused_lease_ends_the_session() -> None:
    story = opened() >> on.TimedOut(1, Timer.RENEW) >> on.RenewalSigned(1, b"r1")
    story >> on.Failed(1, "lease-refused") << CLOSE


def test_a_card_with_a_pin_waits_for_it() -> None:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, PIN_CARD)
    story >> on.Challenged(1, CHALLENGE) >> on.ProofSigned(1, b"jws")
    story >> on.Admitted(1, admitted(ONE)) << "AskPin"
    story.now(at.PinEntry) >> on.PinRefused(1, 1) << "AskPin"
    assert story.state.hint == "pin-last-try"
    story.records("pin-wrong").now(at.PinEntry) >> on.PinEntered(1) << "PrepareFinger"


def test_a_wrong_pin_at_the_last_try_ends_it() -> None:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, PIN_CARD)
    story >> on.Challenged(1, CHALLENGE) >> on.ProofSigned(1, b"jws")
    story >> on.Admitted(1, admitted(ONE)) >> on.PinRefused(1, 0) << CLOSE
    assert story.state.code == "card-blocked"


def on_card() -> Dialogue:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, MATCH_CARD)
    story.records("card-valid", "card-expires-soon")
    story >> on.Challenged(1, CHALLENGE) >> on.ProofSigned(1, b"jws") << "SendProof"
    assert story.effects[-1].levels == (Level.CARD_MATCH,)
    answer = admitted(ONE, level=Level.CARD_MATCH, reference=None)
    story >> on.Admitted(1, answer) << "PrepareFinger"
    assert story.effects[-1].sealed is None
    story >> on.FingerPrepared(1, None) << "ScanFinger WarmTunnel"
    return story.now(at.Scanning)


def test_the_card_compares_and_no_reference_is_in_the_receipt() -> None:
    story = compared(on_card(), on.FingerMatched(1)) << "PrepareTunnel"
    story >> on.TunnelPrepared(1, KEY, KEM_KEY, 0) << "Sign(receipt)"
    receipt = story.effects[-1].statement
    assert (receipt.level, receipt.reference_sha256) == (Level.CARD_MATCH, None)


def test_after_a_non_match_the_card_is_offered_its_other_finger() -> None:
    story = compared(on_card(), on.FingerRejected(1, 1)) << "ScanFinger"
    assert story.state.hint == "other-finger"
    assert [finger.key for finger in story.state.access.fingers] == ["97", "96"]


def test_a_finger_that_the_card_has_blocked_is_not_asked_for_again() -> None:
    story = compared(on_card(), on.FingerRejected(1, 0)) << "ScanFinger"
    assert story.state.hint == "other-finger"
    assert [finger.key for finger in story.state.access.fingers] == ["97"]
    story = compared(story, on.FingerRejected(1, 0)) << CLOSE
    assert story.state.code == "card-blocked"


def test_a_card_that_compares_has_a_cards_time_and_is_named_if_it_says_nothing() -> None:
    story = on_card() >> on.ProbeReady(1) << "ReserveAttempt"
    story >> on.AttemptReserved(1, 1, 8, NEXT)
    (timer,) = [effect for effect in story.effects if isinstance(effect, do.SetTimer)]
    assert timer.after_s == POLICY.card_s
    story >> on.TimedOut(1, Timer.DEADLINE) << CLOSE
    assert story.state.code == "card-mute"


def test_where_the_card_opens_no_reference_it_is_not_blamed_for_the_finger_process() -> None:
    opening = Dialogue(at.Opening(on_card().state.session, on_card().state.access))
    opening >> on.TimedOut(1, Timer.DEADLINE) << CLOSE
    assert opening.state.code == "finger-worker-died"


def by_code() -> Dialogue:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, PIN_CARD)
    story >> on.Challenged(1, CHALLENGE) >> on.ProofSigned(1, b"jws") << "SendProof"
    assert story.effects[-1].levels == (Level.HOST_MATCH, Level.CARD_PIN)
    answer = admitted(ONE, level=Level.CARD_PIN, reference=None)
    story >> on.Admitted(1, answer) << "AskPin"
    story >> on.CodeEntered("123456") << ""  # not yet: the PIN comes first
    story >> on.PinEntered(1) << "WarmTunnel"
    return story.now(at.CodeEntry)


def test_a_pin_and_a_one_time_code_open_the_same_way_on() -> None:
    story = by_code() >> on.CodeEntered("123456") << "ReserveAttempt"
    assert story.effects[-1].code == "123456"
    story >> on.AttemptReserved(1, 1, 8, NEXT, code_right=True) << "PrepareTunnel"
    story.records("attempt-reserved", "code-accepted").now(at.Signing)


def test_a_wrong_code_costs_an_attempt() -> None:
    story = by_code() >> on.CodeEntered("123456")
    story >> on.AttemptReserved(1, 1, 8, NEXT, code_right=False) << ""
    story.records("attempt-reserved", "code-wrong").now(at.CodeEntry)
    story >> on.CodeEntered("123457")
    story >> on.AttemptReserved(1, 2, 7, NEXT, code_right=False) << CLOSE
    assert story.state.code == "attempts-exhausted"


def test_a_centre_that_says_nothing_of_the_code_is_not_believed() -> None:
    story = by_code() >> on.CodeEntered("123456")
    story >> on.AttemptReserved(1, 1, 8, NEXT) << CLOSE
    assert story.state.code == "centre-answer-invalid"


def test_a_level_this_box_can_t_do_is_refused_before_the_finger() -> None:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, FREE_CARD)
    story >> on.Challenged(1, CHALLENGE) >> on.ProofSigned(1, b"jws")
    story >> on.Admitted(1, admitted(ONE, level=Level.CARD_MATCH)) << CLOSE
    assert story.state.code == "level-not-accepted"


def test_a_second_card_ends_the_session_and_both_must_come_out() -> None:
    story = opened() >> on.CardInserted(2) << CLOSE
    story >> on.TunnelDown(1) << "TellCentre"
    story >> on.CardRemoved(1) << ""
    story.now(at.Spent) >> on.CardRemoved(2) << ""
    story.now(at.Idle)


def test_revocation_reaches_an_open_tunnel() -> None:
    story = opened() >> on.Revoked("card-revoked") << CLOSE
    assert story.state.code == "card-revoked"


def test_a_lost_link_ends_nothing() -> None:
    story = opened()
    story >> on.LinkLost() << ""
    story >> on.PolicyChanged() << ""
    story.now(at.Open)
