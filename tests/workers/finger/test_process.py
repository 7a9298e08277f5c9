"""The finger process whole, with real libfprint: from `prepare` to the verdict, or to its end."""

import signal
import time

import numpy as np
import pytest

from sdbox_agent import ipc
from sdbox_agent.biometrics import compact_2005 as compact
from sdbox_agent.cardkind import Bit
from tests.workers.finger_bench import BITS, HOLDER, STRANGER, TRIES, Bench, N, prepare

pytestmark = pytest.mark.rig


def bit(**other) -> Bit:
    return Bit(**{"key": "96", "position": 2, "minimum": 12, "maximum": 60, "order": 0x09} | other)


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


# -- the card compares -----------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "position"), [("96", 2), ("97", 7)])
def test_a_card_that_compares_is_sent_a_probe_as_its_bit_asks(bench, key, position) -> None:
    bench.prepared(level="card-match")
    assert bench.card.asked == 0, "there is no reference to open"
    assert isinstance(bench.scan(HOLDER.touch(position, 9).pixels), ipc.ProbeReady)
    assert bench.card.asked == 0, "nothing leaves before an attempt is reserved"
    assert bench.compare(key) == ipc.Verdict(n=N, match=True)
    assert bench.ended() == 0
    (probe,) = bench.card.probes
    found = compact.decode(probe)
    if key == "96":
        assert [(m.y, m.x) for m in found] == sorted((m.y, m.x) for m in found)
        assert 12 <= len(found) <= 60
    else:
        middle_x, middle_y = sum(m.x for m in found) // 40, sum(m.y for m in found) // 40
        far = [(m.x - middle_x) ** 2 + (m.y - middle_y) ** 2 for m in found]
        assert len(found) == 40
        assert far == sorted(far, reverse=True)


def test_a_stranger_costs_the_card_a_try_and_the_holder_may_try_again(bench) -> None:
    bench.prepared(level="card-match")
    for touch in (1, 2):
        assert isinstance(bench.scan(STRANGER.touch(2, touch).pixels), ipc.ProbeReady)
        assert bench.compare("96") == ipc.Verdict(n=N, match=False, left=TRIES - touch)
    assert isinstance(bench.scan(HOLDER.touch(7, 9).pixels), ipc.ProbeReady)
    assert bench.compare("96") == ipc.Verdict(n=N, match=False, left=TRIES - 3), "another finger"
    assert isinstance(bench.scan(HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
    assert bench.compare("96") == ipc.Verdict(n=N, match=True)
    assert bench.ended() == 0
    assert bench.card.asked == 4


def test_a_touch_too_poor_for_the_card_costs_no_attempt(bench) -> None:
    greedy = Bit(key="96", position=2, minimum=200, maximum=255, order=0)
    bench.prepared(level="card-match", bits=(greedy,), captures=2)
    touches = [HOLDER.touch(2, k).pixels for k in (8, 9)]
    assert bench.scan(*touches) == ipc.Failed(n=N, code="finger-poor")
    assert bench.hints == ["finger-poor"] * 2
    assert bench.card.asked == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"level": "host-match", "sealed": None}, "worker-protocol"),
        ({"level": "host-match", "bits": BITS}, "worker-protocol"),
        ({"level": "card-match", "bits": ()}, "worker-protocol"),
        ({"level": "card-match", "bits": BITS[:1] * 2}, "worker-protocol"),
        ({"level": "card-match", "sealed": b"x"}, "worker-protocol"),
        ({"level": "card-match", "bits": (bit(order=0x07),)}, "card-data-invalid"),
        ({"level": "card-match", "bits": (bit(minimum=61),)}, "card-data-invalid"),
    ],
)
def test_what_can_not_be_compared_with_is_refused_before_a_touch(bench, changes, code) -> None:
    bench.ready()
    bench.core.send(prepare(**changes))
    assert bench.answer() == ipc.Failed(n=N, code=code)
    assert bench.ended() == 1
    assert bench.card.asked == 0


@pytest.mark.parametrize(("level", "key"), [("card-match", None), ("host-match", "96")])
def test_a_key_is_named_where_the_card_compares_and_nowhere_else(bench, level, key) -> None:
    bench.prepared(level=level)
    assert isinstance(bench.scan(HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
    assert bench.compare(key) == ipc.Failed(n=N, code="worker-protocol")
    assert bench.ended() == 1


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
    assert time.monotonic() - start < 3  # 50 ms for the capture; the rest is Python's own end


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
