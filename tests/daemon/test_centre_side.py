"""Each answer becomes the event it belongs to; counters and marks move before it is told."""

import hashlib

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.daemon.centre_side import CentreSide
from sdbox_agent.errors import Refused
from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.state.attempts import LIMIT
from sdbox_agent.terms import Band, Level
from tests.daemon.parts import UTC_S, Bench, Calls, N
from tests.session.explore import CHALLENGE, FREE_CARD, KEM_KEY, LEASE, NEXT, ONE, admitted

CARD = hashlib.sha256(FREE_CARD.auth).digest()


class Side(CentreSide):
    def __init__(self) -> None:
        self.bench, self.calls = Bench(), Calls()
        self.greeted: list[int] = []  # how many events had been fed by then
        super().__init__(
            self.bench.context,
            self.calls,  # type: ignore[arg-type]
            self.bench.attempts,
            boot_counter=5,
            received=self.bench.received,
            greeted=lambda: self.greeted.append(len(self.bench.fed)),
        )

    @property
    def left(self) -> int:
        return self.bench.attempts.left(CARD)


def hello(**changed: object) -> wire.HelloAnswer:
    values = {
        "utc_s": UTC_S + 100,
        "wire": wire.WIRE_MAX,
        "policy_version": 1,
        "challenge": CHALLENGE,
    }
    return wire.HelloAnswer(**{**values, **changed})  # type: ignore[arg-type]


def test_hello_names_box_session_and_start() -> None:
    side = Side()
    side.hello(N)
    name, request = side.calls.request()
    assert name == "hello"
    assert (request.box, request.session, request.boot_counter) == ("box-01", "boot-7", 5)
    side.calls.answer(hello())
    assert side.bench.fed == [on.Challenged(N, CHALLENGE)]
    assert side.bench.marks.trusted_utc_s(0) == UTC_S + 100
    assert side.greeted == [1], "once the session has its challenge, which must not wait"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (hello(challenge=None), "centre-answer-invalid"),
        (hello(policy_version=0), "centre-answer-invalid"),
        (hello(wire=wire.WIRE_MIN - 1), "wire-unsupported"),
        (hello(wire=wire.WIRE_MAX + 1), "wire-unsupported"),
    ],
)
def test_a_hello_that_goes_back_is_refused(answer: wire.HelloAnswer, code: str) -> None:
    side = Side()
    side.hello(N)
    side.calls.answer(answer)
    assert side.bench.failed() == code
    told: list[str] = []
    if code != "centre-answer-invalid" or answer.challenge:
        side.hello_at_boot(lambda: told.append("done"), told.append)
        side.calls.answer(answer)
        assert told == [code], "or it would never be said again"


def test_the_hello_at_boot_has_no_session() -> None:
    side, told = Side(), []
    side.hello_at_boot(lambda: told.append("done"), told.append)
    assert side.calls.request()[1].session is None
    side.calls.fail("centre-slow")
    side.calls.answer(hello(challenge=None))
    assert told == ["centre-slow", "done"]
    assert side.bench.fed == []


def test_the_least_of_box_and_centre_is_admitted() -> None:
    side = Side()
    side.bench.attempts.lower(CARD, 4)
    side.send_proof(do.SendProof(N, FREE_CARD, b"jws", (Level.HOST_MATCH,)))
    assert side.calls.request()[1].levels == (Level.HOST_MATCH,)
    side.calls.answer(admitted(ONE, attempts_left=9))
    assert side.bench.fed[0].answer.attempts_left == 4
    side.calls.answer(admitted(ONE, attempts_left=2))
    assert side.bench.fed[1].answer.attempts_left == side.left == 2


def test_staffs_unlock_frees_a_card_this_box_had_locked() -> None:
    side = Side()
    side.bench.attempts.lower(CARD, 0)
    side.send_proof(do.SendProof(N, FREE_CARD, b"jws", (Level.HOST_MATCH,)))
    side.calls.answer(admitted(ONE, attempts_left=10))
    assert side.bench.fed[-1].answer.attempts_left == 0, "the centre's word alone does not"
    side.calls.answer(admitted(ONE, attempts_left=10, unlocks=1))
    assert side.bench.fed[-1].answer.attempts_left == LIMIT
    side.bench.attempts.lower(CARD, 0)
    side.calls.answer(admitted(ONE, attempts_left=10, unlocks=1))
    assert side.bench.fed[-1].answer.attempts_left == 0, "nor does the same unlock again"


def test_an_attempt_is_counted_here_before_it_is_asked_for() -> None:
    side = Side()
    side.reserve(do.ReserveAttempt(N, FREE_CARD, CHALLENGE))
    assert side.left == LIMIT - 1
    assert side.bench.fed == []
    side.calls.answer(wire.AttemptAnswer(attempt=1, left=3, challenge=NEXT))
    assert side.bench.fed == [on.AttemptReserved(N, 1, 3, NEXT)]
    assert side.calls.request()[1].otp is None
    side.bench.attempts.lower(CARD, 0)
    with pytest.raises(Refused, match="card-locked"):
        side.reserve(do.ReserveAttempt(N, FREE_CARD, CHALLENGE))
    assert len(side.calls.asked) == 1, "the centre is not even asked"


def test_only_an_accepted_receipt_gives_attempts_back() -> None:
    side = Side()
    side.bench.attempts.lower(CARD, 4)
    side.send_receipt(do.SendReceipt(N, FREE_CARD, b"jws", KEM_KEY, Band.WEAK))
    request = side.calls.request()[1]
    assert (request.band, request.kem_key) == (Band.WEAK, KEM_KEY)
    side.calls.fail("statement-invalid")
    assert (side.left, side.bench.failed()) == (4, "statement-invalid")
    side.calls.answer(LEASE)
    assert side.left == LIMIT
    assert side.bench.fed[-1] == on.Leased(N, LEASE)


def test_attempts_are_given_back_while_the_tunnel_rises() -> None:
    side, left = Side(), []
    side.bench.attempts.lower(CARD, 4)
    side.bench.context.feed = lambda _event: left.append(side.left)
    side.send_receipt(do.SendReceipt(N, FREE_CARD, b"jws", KEM_KEY))
    side.calls.answer(LEASE)
    assert (left, side.left) == ([4], LIMIT)


def test_a_renewal_brings_the_next_challenge() -> None:
    side = Side()
    side.send_renewal(N, b"jws")
    side.calls.answer(wire.RenewAnswer(lease_s=60, challenge=NEXT))
    assert side.bench.fed == [on.Renewed(N, 60, NEXT)]


def test_the_end_is_told_once_the_session_s_own_calls_are_cut_and_nobody_waits() -> None:
    side = Side()
    side.tell_end(N, "card-removed")
    assert side.calls.cuts == 1
    name, request = side.calls.request()
    assert (name, request.session, request.code) == ("end", "boot-7", "card-removed")
    side.calls.answer(wire.EndAnswer())
    side.calls.fail("centre-unreachable")
    assert side.bench.fed == []


def test_a_one_time_code_goes_with_the_attempt_and_its_verdict_comes_back() -> None:
    side = Side()
    side.reserve(do.ReserveAttempt(N, FREE_CARD, CHALLENGE, "123456"))
    assert side.calls.request()[1].otp == "123456"
    assert "123456" not in repr(side.calls.request()[1])
    side.calls.answer(wire.AttemptAnswer(attempt=1, left=3, challenge=NEXT, code_right=False))
    assert side.bench.fed == [on.AttemptReserved(N, 1, 3, NEXT, code_right=False)]
