"""What the finger process makes of the card's answers, and of a reference that does not hold."""

import time

import pytest
from cryptography import x509

from sdbox_agent import ipc
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.pki import cms
from sdbox_agent.workers.finger import card_side
from sdbox_centre import authority
from tests.biometrics.templates import finger
from tests.pki import grown
from tests.waiting import until
from tests.workers.finger_bench import HOLDER, Bench, N, prepare, record, sealed

pytestmark = pytest.mark.rig


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as made:
        yield made


# -- reference -----------------------------------------------------------------------------------


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def other_card() -> dict[str, bytes]:
    other = grown.issue(grown.card_authority(), authority.new_key()).certificates
    return {"auth": other.auth, "key_management": other.key_management}


def revoked() -> bytes:
    serial = x509.load_der_x509_certificate(grown.signer().certificate_der).serial_number
    return grown.desk_authority().crl(2, grown.NOW, {serial: grown.NOW})


@pytest.mark.parametrize(
    ("changes", "code", "asked"),
    [
        (lambda: {"sealed": flipped(sealed(), len(sealed()) - 1)}, "reference-altered", 1),
        (lambda: {"sealed": flipped(sealed(), 0)}, "reference-malformed", 0),
        (lambda: {"sealed": b""}, "reference-malformed", 0),
        (other_card, "reference-not-for-this-card", 0),
        (lambda: {"auth": other_card()["auth"]}, "reference-not-for-this-card", 1),
        (lambda: {"enrolment": "test-enrolment-02"}, "reference-not-for-this-card", 1),
        (lambda: {"anchors": ()}, "reference-unsigned", 1),
        (lambda: {"crls": ()}, "crl-stale", 1),  # nobody has said that the desk is not revoked
        (lambda: {"crls": (revoked(),)}, "reference-unsigned", 1),
        (
            lambda: {"anchors": (authority.der_of(grown.card_authority().certificate),)},
            "reference-unsigned",
            1,
        ),
    ],
)
def test_a_reference_that_does_not_hold_is_refused(bench, changes, code, asked) -> None:
    bench.ready()
    bench.core.send(prepare(**changes()))
    assert bench.answer() == ipc.Failed(n=N, code=code)
    assert bench.ended() == 1
    assert bench.card.asked == asked  # the card is asked nothing for a message not its own


def few() -> bytes:
    return iso.encode(iso.record_of({p: [finger(p, 8)] for p in (2, 7)}, 400, 400))


def one_finger() -> bytes:
    return iso.encode(iso.record_of({2: [finger(2)]}, 400, 400))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda: grown.RECORD, "reference-malformed"),
        (lambda: record() + b"\0", "reference-malformed"),
        (one_finger, "reference-malformed"),  # the desk signed for two
        (few, "reference-poor"),
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path, content, code) -> None:
    message = sealed(content())

    def unwrap(request: ipc.Unwrap) -> ipc.Message:
        return ipc.Unwrapped(n=N, key=grown.card().open(cms.parse(message)))

    with Bench(tmp_path, answer=unwrap) as bench:
        bench.ready()
        bench.core.send(prepare(sealed=message))
        assert bench.answer() == ipc.Failed(n=N, code=code)
        assert bench.ended() == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda _: ipc.Failed(n=N, code="card-removed"), "card-removed"),
        (lambda _: ipc.Unwrapped(n=N + 1, key=bytes(32)), "worker-protocol"),
        # whatever the card made of the blob, one code: what was wrong is not told apart
        (lambda _: ipc.Unwrapped(n=N, key=bytes(32)), "reference-altered"),
        (lambda _: ipc.Unwrapped(n=N, key=b"k"), "reference-altered"),
        (lambda _: ipc.Failed(n=N, code="reference-not-for-this-card"), "reference-altered"),
        (lambda _: ipc.Failed(n=N, code="reference-altered"), "reference-altered"),
        (lambda _: ipc.FingerReady(), "worker-protocol"),
    ],
)
def test_what_the_card_worker_answers_decides(tmp_path, answer, code) -> None:
    with Bench(tmp_path, answer=answer) as bench:
        bench.ready()
        bench.core.send(prepare())
        assert bench.answer() == ipc.Failed(n=N, code=code)
        assert bench.ended() == 1


def test_without_a_card_worker_nothing_opens(tmp_path) -> None:
    with Bench(tmp_path) as bench:
        bench.ready()
        (tmp_path / "run/sdbox-card/finger.sock").unlink()
        bench.core.send(prepare())
        assert bench.answer() == ipc.Failed(n=N, code="card-worker-died")
        assert bench.ended() == 1


def test_a_silent_card_worker_can_be_cancelled(tmp_path) -> None:
    with Bench(tmp_path, answer=lambda _: None) as bench:
        bench.ready()
        bench.core.send(prepare())
        until(lambda: bench.card.asked)
        bench.core.send(ipc.Cancel(n=N))
        assert bench.ended() == 0


# -- questions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda _: ipc.Failed(n=N, code="card-removed"), "card-removed"),
        (lambda _: ipc.Compared(n=N + 1, match=True), "worker-protocol"),
        (lambda _: ipc.Unwrapped(n=N, key=bytes(32)), "worker-protocol"),
        (lambda _: ipc.FingerReady(), "worker-protocol"),
    ],
)
def test_only_the_answer_to_the_question_is_a_verdict(tmp_path, answer, code) -> None:
    with Bench(tmp_path, answer=answer) as bench:
        bench.prepared(level="card-match")
        assert isinstance(bench.scan(HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
        assert bench.compare(key="96") == ipc.Failed(n=N, code=code)
        assert bench.ended() == 1


def test_a_card_that_still_compares_can_be_cancelled(tmp_path) -> None:
    with Bench(tmp_path, answer=lambda _: None) as bench:
        bench.prepared(level="card-match")
        assert isinstance(bench.scan(HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
        bench.core.send(ipc.Compare(n=N, attempt=1, key="96"))
        until(lambda: bench.card.asked)
        bench.core.send(ipc.Cancel(n=N))
        assert bench.ended() == 0


# -- time ----------------------------------------------------------------------------------------


RUNS = 3  # at most: a busy machine delays one or another, a leak all of them


def not_the_cards(request: ipc.Unwrap) -> ipc.Message:
    """As quick as a card that says no."""
    return ipc.Failed(n=request.n, code="reference-not-for-this-card")


def slow(request: ipc.Unwrap) -> ipc.Message:
    """As a card that computes, for a key that opens nothing."""
    time.sleep(0.3)
    return ipc.Unwrapped(n=request.n, key=bytes(32))


@pytest.mark.parametrize("answer", [not_the_cards, slow, None])
def test_a_failure_to_open_takes_the_same_time_whatever_the_cause(tmp_path, answer) -> None:
    """Never before the period ends, and then at once: no cause is told by the clock."""
    changed = {} if answer else {"sealed": flipped(sealed(), len(sealed()) - 1)}  # the tag
    failed = ipc.Failed(n=N, code="reference-altered")
    late_s = []
    for run in range(RUNS):
        took_s = prepared_s(tmp_path / str(run), failed, answer, **changed)
        assert took_s >= card_side.FAILURE_S
        late_s.append(took_s % card_side.FAILURE_S)
        if late_s[-1] < 0.1:  # alone below 0.01
            return
    raise AssertionError(late_s)


def test_what_opens_is_not_held_back(tmp_path) -> None:
    runs = (prepared_s(tmp_path / str(run), ipc.Prepared(n=N)) for run in range(RUNS))
    assert any(took_s < card_side.FAILURE_S for took_s in runs)


def prepared_s(root, told: ipc.Message, answer=None, **changed) -> float:
    """How long a preparation takes that ends like this."""
    root.mkdir()
    with Bench(root, answer=answer) as bench:
        bench.ready()
        start_s = time.monotonic()
        bench.core.send(prepare(**changed))
        assert bench.answer() == told
        return time.monotonic() - start_s


def test_who_cancels_does_not_wait_for_a_failure(tmp_path) -> None:
    with Bench(tmp_path, answer=not_the_cards) as bench:
        bench.ready()
        bench.core.send(prepare())
        until(lambda: bench.card.asked)
        bench.core.send(ipc.Cancel(n=N))
        with pytest.raises(ipc.Closed):  # and not a failure, when it is time for one
            bench.core.receive()
        assert bench.ended() == 0
