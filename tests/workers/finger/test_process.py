"""The finger process whole, with real libfprint: from `prepare` to the verdict, or to its end."""

import signal

import numpy as np
import pytest

from hil.finger.impression import impression
from sdbox_agent import ipc
from sdbox_agent.biometrics import compact_2005 as compact
from sdbox_agent.cardkind import Bit
from tests.waiting import PATIENCE_S
from tests.workers.finger_bench import BITS, HOLDER, STRANGER, TRIES, Bench, N, prepare

pytestmark = pytest.mark.rig


def bit(**other) -> Bit:
    return Bit(**{"key": "96", "position": 2, "minimum": 12, "maximum": 60, "order": 0x09} | other)


def matched(answer: ipc.Message) -> bool:
    """A match that the reference decided says how clear it was."""
    assert isinstance(answer, ipc.Verdict), answer
    return answer.match and answer.band is not None and answer.advice is None


def soaked(touch: int) -> np.ndarray:
    """The holder's finger, and more water than most."""
    return impression(HOLDER.finger(2), touch, quality="wet", pressure=1.1).pixels


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
    assert matched(bench.compare())
    assert bench.ended() == 0


# -- an attempt ------------------------------------------------------------------------------------


def test_an_attempt_is_three_captures_and_the_holder_may_try_again(bench) -> None:
    bench.prepared()
    for attempt in range(2):
        first, *more = (STRANGER.touch(2, 3 * attempt + k).pixels for k in range(3))
        assert isinstance(bench.scan(first), ipc.ProbeReady)
        assert not bench.compare(*more).match
        assert bench.hints == ["lift-and-place"] * 2 * (attempt + 1)
    assert isinstance(bench.scan(HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
    assert matched(bench.compare())
    assert bench.ended() == 0


def test_an_attempt_whose_second_capture_matches_is_a_match(bench) -> None:
    bench.prepared()
    assert isinstance(bench.scan(STRANGER.touch(2, 1).pixels), ipc.ProbeReady)
    assert matched(bench.compare(HOLDER.touch(7, 9).pixels))
    assert bench.hints == ["lift-and-place"]
    assert bench.ended() == 0


def test_a_poor_touch_within_an_attempt_costs_it_no_capture(bench) -> None:
    bench.prepared()
    assert isinstance(bench.scan(STRANGER.touch(2, 1).pixels), ipc.ProbeReady)
    glass = [BLANK + k for k in range(4)]  # more than a scan has captures
    assert matched(bench.compare(STRANGER.touch(2, 2).pixels, *glass, HOLDER.touch(2, 9).pixels))
    assert bench.hints == ["lift-and-place"] * 2 + ["finger-poor"] * 4


def test_where_one_capture_is_allowed_it_decides(bench) -> None:
    bench.prepared(captures=1)
    assert isinstance(bench.scan(STRANGER.touch(2, 1).pixels), ipc.ProbeReady)
    assert bench.compare() == ipc.Verdict(n=N, match=False)


def test_a_policy_of_many_captures_does_not_widen_what_the_threshold_stands_for(bench) -> None:
    bench.prepared(captures=9)
    first, *more = (STRANGER.touch(2, k).pixels for k in range(3))
    assert isinstance(bench.scan(first), ipc.ProbeReady)
    assert bench.compare(*more) == ipc.Verdict(n=N, match=False)


def test_a_finger_that_failed_twice_is_told_of_the_other(bench) -> None:
    bench.prepared(captures=1)
    for advice in (None, "other-finger-better"):
        assert isinstance(bench.scan(STRANGER.touch(2, bool(advice)).pixels), ipc.ProbeReady)
        assert bench.compare() == ipc.Verdict(n=N, match=False, advice=advice)
    assert bench.scan(BLANK) == ipc.Failed(n=N, code="other-finger-better")


def test_a_core_that_cancels_within_an_attempt_is_heard(bench) -> None:
    bench.prepared()
    assert isinstance(bench.scan(STRANGER.touch(2, 1).pixels), ipc.ProbeReady)
    bench.core.send(ipc.Compare(n=N, attempt=1))
    assert bench.core.receive() == ipc.Hint(n=N, code="lift-and-place")
    assert bench.core.receive() == ipc.Hint(n=N, code="place-finger")
    bench.core.send(ipc.Cancel(n=N))
    assert bench.ended() == 0


def test_a_sensor_that_goes_within_an_attempt_is_a_fault(bench) -> None:
    bench.prepared()
    assert isinstance(bench.scan(STRANGER.touch(2, 1).pixels), ipc.ProbeReady)
    bench.core.send(ipc.Compare(n=N, attempt=1))
    bench.core.receive()
    assert bench.core.receive() == ipc.Hint(n=N, code="place-finger")
    bench.hand.unplug()
    assert bench.answer() == ipc.Failed(n=N, code="sensor-missing")


# -- causes, in words ------------------------------------------------------------------------------


def test_a_wet_finger_is_told_so_and_wiped_costs_nothing(bench) -> None:
    bench.prepared()
    assert isinstance(bench.scan(soaked(1), HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
    assert bench.hints == ["finger-wet"]
    assert matched(bench.compare())


def test_a_finger_that_is_always_wet_is_compared_all_the_same(bench) -> None:
    bench.prepared()
    assert isinstance(bench.scan(soaked(1), soaked(2)), ipc.ProbeReady)
    assert bench.hints == ["finger-wet"]
    assert matched(bench.compare())


def test_a_dry_finger_that_does_not_match_is_told_so(bench) -> None:
    bench.prepared()
    assert isinstance(bench.scan(STRANGER.touch(2, 1, "dry").pixels), ipc.ProbeReady)
    assert matched(bench.compare(HOLDER.touch(2, 9).pixels))
    assert bench.hints == ["finger-dry"]


def test_a_fingertip_is_asked_to_press_and_noise_is_no_finger(bench) -> None:
    bench.prepared()
    noise = np.random.default_rng(0).integers(0, 256, BLANK.shape).astype(np.uint8)
    tip = HOLDER.touch(2, 1, "tiny").pixels
    assert isinstance(bench.scan(noise, tip, HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
    assert bench.hints == ["finger-poor", "press-harder"]


# -- the card compares -----------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "position"), [("96", 2), ("97", 7)])
def test_a_card_that_compares_is_sent_a_probe_as_its_bit_asks(bench, key, position) -> None:
    bench.prepared(level="card-match")
    assert bench.card.asked == 0, "there is no reference to open"
    assert isinstance(bench.scan(HOLDER.touch(position, 9).pixels), ipc.ProbeReady)
    assert bench.card.asked == 0, "nothing leaves before an attempt is reserved"
    assert bench.compare(key=key) == ipc.Verdict(n=N, match=True)
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
        assert bench.compare(key="96") == ipc.Verdict(n=N, match=False, left=TRIES - touch)
    assert isinstance(bench.scan(HOLDER.touch(7, 9).pixels), ipc.ProbeReady)
    assert bench.compare(key="96") == ipc.Verdict(n=N, match=False, left=TRIES - 3), (
        "another finger"
    )
    assert isinstance(bench.scan(HOLDER.touch(2, 9).pixels), ipc.ProbeReady)
    assert bench.compare(key="96") == ipc.Verdict(n=N, match=True)
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
    assert bench.compare(key=key) == ipc.Failed(n=N, code="worker-protocol")
    assert bench.ended() == 1


# -- capture -------------------------------------------------------------------------------------


def invited(bench) -> None:
    bench.core.send(ipc.Scan(n=N))
    assert bench.core.receive() == ipc.Hint(n=N, code="place-finger")


@pytest.mark.parametrize("how", ["cancel", "gone"])
def test_a_capture_ends_with_the_core(bench, how) -> None:
    bench.prepared()
    invited(bench)
    if how == "cancel":
        bench.core.send(ipc.Cancel(n=N))
        assert bench.ended() == 0
    else:
        bench.core.close()
        assert bench.process.wait(PATIENCE_S) == 0


def test_a_touch_that_is_no_finger_costs_a_capture_and_says_why(bench) -> None:
    bench.prepared()
    assert bench.scan(BLANK, BLANK + 1, BLANK + 2) == ipc.Failed(n=N, code="finger-poor")
    assert bench.hints == ["finger-poor"] * 3
    assert isinstance(bench.scan(BLANK + 3, HOLDER.touch(7, 9).pixels), ipc.ProbeReady)
    assert matched(bench.compare())


def test_the_same_pixels_twice_are_refused(bench) -> None:
    bench.prepared(captures=1)
    touch = STRANGER.touch(2, 1).pixels
    assert isinstance(bench.scan(touch), ipc.ProbeReady)
    assert bench.compare() == ipc.Verdict(n=N, match=False)
    assert bench.scan(touch) == ipc.Failed(n=N, code="replayed-sample")
    assert bench.ended() == 1


def test_the_same_pixels_are_no_second_capture_of_an_attempt(bench) -> None:
    bench.prepared()
    touch = STRANGER.touch(2, 1).pixels
    assert isinstance(bench.scan(touch), ipc.ProbeReady)
    assert bench.compare(touch) == ipc.Failed(n=N, code="replayed-sample")
    assert bench.ended() == 1


def test_fault_53_the_same_pixels_are_refused_by_the_next_process_too(tmp_path) -> None:
    touch = HOLDER.touch(2, 9).pixels
    with Bench(tmp_path / "first") as first:
        first.prepared(captures=1)
        first.scan(touch)
        (tag,) = first.tags
    with Bench(tmp_path / "second") as second:
        second.prepared(frame_tags=(tag,))
        assert second.scan(touch) == ipc.Failed(n=N, code="replayed-sample")
        assert second.ended() == 1
    with Bench(tmp_path / "third") as third:  # the core has started anew: nothing is left of before
        third.prepared(frame_tags=(tag,), frame_key=bytes(32), captures=1)
        assert isinstance(third.scan(touch), ipc.ProbeReady)
        assert third.tags not in ([], [tag])


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
    bench.prepared(captures=1)
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
