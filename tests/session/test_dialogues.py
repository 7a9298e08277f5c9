"""One dialogue a user story."""

from __future__ import annotations

from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.events import Timer
from sdbox_agent.terms import Level
from tests.session.dialogue import Dialogue
from tests.session.explore import (
    CHALLENGE,
    FREE_CARD,
    KEY,
    LEASE,
    NEXT,
    ONE,
    PIN_CARD,
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
    story >> on.Admitted(1, admitted(grants)) << "OpenReference"
    story >> on.ReferenceOpened(1, KEY) << "ScanFinger"
    return story.now(at.Scanning)


def compared(story: Dialogue, decision: on.Event, left: int = 8) -> Dialogue:
    story >> on.ProbeReady(1) << "ReserveAttempt"
    story >> on.AttemptReserved(1, 1, left, NEXT) << "CompareFinger"
    return story >> decision


def opened() -> Dialogue:
    story = compared(scanning(), on.FingerMatched(1)) << "PrepareTunnel"
    story >> on.TunnelPrepared(1, KEY, 0) << "Sign(receipt)"
    story >> on.ReceiptSigned(1, b"jws") << "SendReceipt"
    story >> on.Leased(1, LEASE) << "OpenTunnel"
    story >> on.TunnelUp(1, 1.0, 1.0) << ""
    return story.records("tunnel-up").now(at.Open)


def test_card_finger_tunnel_and_card_out() -> None:
    story = opened()
    story >> on.CardRemoved(1) << CLOSE
    story >> on.TunnelDown(1) << "TellCentre"
    story.records("card-removed").now(at.Spent)
    story >> on.TimedOut(1, Timer.SETTLE) << ""
    story.now(at.Idle)


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


def test_a_refused_lease_ends_the_session() -> None:
    story = opened() >> on.TimedOut(1, Timer.RENEW) >> on.RenewalSigned(1, b"r1")
    story >> on.Failed(1, "lease-refused") << CLOSE


def test_a_card_with_a_pin_waits_for_it() -> None:
    story = Dialogue(at.Idle(0)) >> on.CardInserted(1) >> on.CardAccepted(1, PIN_CARD)
    story >> on.Challenged(1, CHALLENGE) >> on.ProofSigned(1, b"jws")
    story >> on.Admitted(1, admitted(ONE)) << ""
    story.now(at.PinEntry) >> on.PinEntered(1) << "OpenReference"


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
    story = opened() >> on.Revoked() << CLOSE
    assert story.state.code == "revoked"
