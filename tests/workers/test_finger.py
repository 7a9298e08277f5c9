"""The finger process whole: real libfprint, a real sealed reference, and everything that fails."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from sdbox_agent import ipc
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.pki import cms
from sdbox_centre import authority
from tests.biometrics.templates import finger
from tests.pki import grown
from tests.workers.finger_bench import HOLDER, STRANGER, Bench, N, prepare, record, sealed

pytestmark = pytest.mark.rig

BLANK = np.full((374, 388), 200, dtype=np.uint8)


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as made:
        yield made


@pytest.mark.parametrize("position", [2, 7])
def test_the_holder_matches_with_either_finger_and_the_process_ends(bench, position) -> None:
    bench.prepared()
    answer = bench.scan(HOLDER.touch(position, 9).pixels)
    assert isinstance(answer, ipc.ProbeReady)
    assert answer.quality > 50
    assert bench.compare() == ipc.Verdict(n=N, match=True)
    assert bench.ended() == 0


def test_a_stranger_does_not_match_and_the_holder_may_try_again(bench) -> None:
    bench.prepared()
    for touch in (1, 2):
        assert isinstance(bench.scan(STRANGER.touch(2, touch).pixels), ipc.ProbeReady)
        assert bench.compare() == ipc.Verdict(n=N, match=False)
    assert isinstance(bench.scan(HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
    assert bench.compare() == ipc.Verdict(n=N, match=True)
    assert bench.ended() == 0


# -- reference -----------------------------------------------------------------------------------


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def other_card() -> dict[str, bytes]:
    other = grown.issue(grown.card_authority(), authority.new_key()).certificates
    return {"auth": other.auth, "key_management": other.key_management}


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
        (lambda _: ipc.Unwrapped(n=N, key=bytes(32)), "reference-altered"),
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
        while not bench.card.asked:
            time.sleep(0.005)
        bench.core.send(ipc.Cancel(n=N))
        assert bench.ended() == 0


# -- capture -------------------------------------------------------------------------------------


def invited(bench) -> None:
    bench.core.send(ipc.Scan(n=N))
    assert bench.core.receive() == ipc.Hint(n=N, code="place-finger")


@pytest.mark.parametrize("how", ["cancel", "gone"])
def test_a_capture_ends_with_the_core(bench, how) -> None:
    bench.prepared()
    invited(bench)
    start = time.monotonic()
    if how == "cancel":
        bench.core.send(ipc.Cancel(n=N))
        assert bench.ended() == 0
    else:
        bench.core.close()
        assert bench.process.wait(5) == 0
    assert time.monotonic() - start < 1.0  # 50 ms for the capture; the rest is Python's own end


def test_a_touch_that_is_no_finger_costs_a_capture_and_says_why(bench) -> None:
    bench.prepared()
    assert bench.scan(BLANK, BLANK + 1, BLANK + 2) == ipc.Failed(n=N, code="finger-poor")
    assert bench.hints == ["finger-poor"] * 3
    assert isinstance(bench.scan(BLANK + 3, HOLDER.touch(7, 9).pixels), ipc.ProbeReady)
    assert bench.compare() == ipc.Verdict(n=N, match=True)


def test_the_same_pixels_twice_are_refused(bench) -> None:
    bench.prepared()
    touch = STRANGER.touch(2, 1).pixels
    assert isinstance(bench.scan(touch), ipc.ProbeReady)
    assert bench.compare() == ipc.Verdict(n=N, match=False)
    assert bench.scan(touch) == ipc.Failed(n=N, code="replayed-sample")
    assert bench.ended() == 1


def test_an_image_that_kills_libfprint_kills_this_process_alone(bench) -> None:
    bench.prepared()
    invited(bench)
    bench.hand.lay(np.zeros((10, 10), dtype=np.uint8))
    assert bench.ended() == -signal.SIGSEGV


def test_an_unplugged_sensor_is_a_fault(bench) -> None:
    bench.prepared()
    invited(bench)
    bench.hand.unplug()
    assert bench.answer() == ipc.Failed(n=N, code="sensor-missing")
    assert bench.ended() == 1


def test_no_sensor_is_said_at_once(tmp_path) -> None:
    with Bench(tmp_path, sensor=False) as bench:
        assert bench.answer() == ipc.Failed(code="sensor-missing")
        assert bench.ended() == 1


# -- protocol ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        prepare,
        lambda: ipc.Scan(n=N + 1),
        lambda: ipc.Compare(n=N, attempt=1),  # there is no probe
        ipc.FingerReady,
    ],
)
def test_a_request_out_of_turn_ends_it(bench, request_) -> None:
    bench.prepared()
    bench.core.send(request_())
    assert bench.answer() == ipc.Failed(n=N, code="worker-protocol")
    assert bench.ended() == 1


def test_a_probe_is_compared_once(bench) -> None:
    bench.prepared()
    bench.scan(STRANGER.touch(2, 1).pixels)
    assert bench.compare() == ipc.Verdict(n=N, match=False)
    assert bench.compare() == ipc.Failed(n=N, code="worker-protocol")


def test_speaking_during_a_capture_ends_it(bench) -> None:
    bench.prepared()
    invited(bench)
    bench.core.send(ipc.Compare(n=N, attempt=1))
    assert bench.answer() == ipc.Failed(n=N, code="worker-protocol")


def test_nothing_is_done_before_a_reference_is_there(bench) -> None:
    bench.ready()
    bench.core.send(ipc.Scan(n=N))
    assert bench.answer() == ipc.Failed(code="worker-protocol")
    assert bench.ended() == 1


# -- custody -------------------------------------------------------------------------------------


def test_nothing_is_swapped_dumped_or_written(bench, tmp_path) -> None:
    bench.prepared()
    bench.scan(STRANGER.touch(2, 1).pixels)
    bench.compare()
    proc = Path(f"/proc/{bench.process.pid}")
    limits = (proc / "limits").read_text()
    assert "Max core file size        0                    0" in limits
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
    assert int(status["VmLck"].split()[0]) > 10_000
    assert int(status["VmSwap"].split()[0]) == 0
    for entry in (proc / "fd").iterdir():
        target = os.readlink(entry)
        flags = int((proc / "fdinfo" / entry.name).read_text().split("flags:\t")[1].split()[0], 8)
        assert not (target.startswith("/") and flags & os.O_ACCMODE) or target.startswith("/dev/")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "sensor.sock"]
    assert bench.process.pid
    bench.core.send(ipc.Cancel(n=N))
    assert bench.ended() == 0
    assert bench.process.stderr.read() == b""


def test_templates_of_the_bench_are_ordinary() -> None:
    assert all(len(view.minutiae) >= 20 for view in iso.decode(record()).views)
