"""One process a transaction: fresh for each, warm in between, its death told with its reason."""

import hashlib

import pytest

from sdbox_agent import ipc
from sdbox_agent.daemon.finger_side import FingerSide
from sdbox_agent.errors import Fault
from sdbox_agent.session import effects as do
from sdbox_agent.session import events as on
from sdbox_agent.terms import Band
from tests.daemon.parts import UTC_S, Bench, Link, N
from tests.kinds import SENSOR
from tests.session.explore import FREE_CARD

OPEN = do.PrepareFinger(
    N, card=FREE_CARD, enrolment="e1", sealed=b"sealed", captures=3, comparisons=3
)


class Side(FingerSide):
    def __init__(self) -> None:
        self.bench = Bench()
        super().__init__(self.bench.context, (b"anchor",), lambda: (b"list",), SENSOR, bytes(32))
        self.spy = self.link = Link()  # type: ignore[assignment]


def test_it_is_given_what_one_transaction_needs_and_the_trusted_time() -> None:
    side = Side()
    side.prepare(OPEN)
    (asked,) = side.spy.sent
    assert isinstance(asked, ipc.PrepareFinger)
    assert (asked.n, asked.sealed, asked.anchors) == (N, b"sealed", (b"anchor",))
    assert asked.utc_s >= UTC_S


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (ipc.Prepared(n=N), on.FingerPrepared(N, hashlib.sha256(b"sealed").digest())),
        (ipc.Hint(n=N, code="press-harder"), on.Hinted(N, "press-harder")),
        (ipc.ProbeReady(n=N, quality=60), on.ProbeReady(N)),
        (ipc.Verdict(n=N, match=True), on.FingerMatched(N)),
        (ipc.Verdict(n=N, match=True, band=Band.FAIR), on.FingerMatched(N, Band.FAIR)),
        (ipc.Verdict(n=N, match=False), on.FingerRejected(N)),
        (
            ipc.Verdict(n=N, match=False, advice="other-finger-better"),
            on.FingerRejected(N, advice="other-finger-better"),
        ),
        (ipc.Verdict(n=N, match=False, advice="card-revoked"), on.FingerRejected(N)),
        (ipc.Verdict(n=N, match=False, advice="made-up"), on.FingerRejected(N)),
        (ipc.Failed(n=N, code="reference-altered"), on.Failed(N, "reference-altered")),
        (ipc.Failed(n=N, code="made-up"), on.Failed(N, "unknown-code")),
    ],
)
def test_its_words_become_events(message: ipc.FromFinger, event: on.Event) -> None:
    side = Side()
    side.prepare(OPEN)
    side.heard(message)
    assert side.bench.fed == [event]
    assert side.spy.acts == (["end"] if isinstance(event, on.FingerMatched) else [])


@pytest.mark.parametrize("code", ["made-up", "card-revoked"])
def test_it_shows_the_person_nothing_but_what_a_person_can_mend(code: str) -> None:
    side = Side()
    side.prepare(OPEN)
    side.heard(ipc.Hint(n=N, code=code))
    assert side.bench.fed == []


def test_a_process_that_was_given_a_reference_ends_with_the_session() -> None:
    side = Side()
    side.prepare(OPEN)
    side.end()
    assert side.spy.acts == ["recycle"]


def test_a_process_that_was_given_nothing_stays_warm() -> None:
    side = Side()
    side.end()
    assert side.spy.acts == []
    side.renew()
    assert side.spy.acts == ["recycle"]


def test_a_reference_that_may_have_gone_half_way_counts_as_given() -> None:
    side = Side()
    side.spy.up = False
    with pytest.raises(Fault):
        side.prepare(OPEN)
    side.spy.up = True
    side.end()
    assert side.spy.acts == ["recycle"]


def test_a_card_asks_at_once_for_a_process_that_is_waited_for() -> None:
    side = Side()
    side.warm()
    assert side.spy.acts == []
    side.spy.up = False
    side.warm()
    assert side.spy.acts == ["connect"]


def test_a_death_in_a_transaction_ends_it_and_a_spare_s_death_harms_nobody() -> None:
    side = Side()
    side.lost()
    assert side.bench.fed == []
    side.prepare(OPEN)
    side.lost()
    assert side.bench.failed() == "finger-worker-died"


def test_what_a_spare_said_before_it_died_is_told_to_the_session_that_asks() -> None:
    side = Side()
    side.heard(ipc.Failed(n=0, code="sensor-missing"))
    side.lost()
    assert side.bench.fed == []
    side.spy.up = False
    with pytest.raises(Fault, match=r"^sensor-missing$"):
        side.prepare(OPEN)
    side.heard(ipc.FingerReady())
    with pytest.raises(Fault, match=r"-worker-died$"):
        side.prepare(OPEN)


def test_tags_of_frames_go_to_the_next_process_the_newest_of_them() -> None:
    side = Side()
    tags = [number.to_bytes(16, "big") for number in range(ipc.MAX_FRAME_TAGS + 1)]
    side.heard(ipc.FrameTaken(n=N, tag=tags[0]))
    side.heard(ipc.FrameTaken(n=N + 7, tag=tags[1]))  # of a session that is over: it counts too
    assert side.bench.fed == []
    side.prepare(OPEN)
    asked = side.spy.sent[-1]
    assert isinstance(asked, ipc.PrepareFinger)
    assert (asked.frame_key, asked.frame_tags) == (bytes(32), tuple(tags[:2]))
    for tag in tags[2:]:
        side.heard(ipc.FrameTaken(n=N, tag=tag))
    side.prepare(OPEN)
    asked = side.spy.sent[-1]
    assert isinstance(asked, ipc.PrepareFinger)
    assert asked.frame_tags == tuple(tags[1:])


def test_fault_50_a_second_sensor_ends_a_scan_and_renews_a_process_that_waits() -> None:
    side = Side()
    for sensors in (1, 2, 0):
        side.devices_changed(sensors)
    assert side.spy.acts == ["recycle"] * 3
    side.prepare(OPEN)
    side.devices_changed(1)  # another took its place before this one was opened
    assert side.bench.fed == []
    side.devices_changed(2)
    assert side.bench.failed() == "sensor-ambiguous"
    assert side.spy.acts == ["recycle"] * 3


def test_once_the_finger_has_matched_a_second_sensor_ends_nothing() -> None:
    side = Side()
    side.prepare(OPEN)
    side.heard(ipc.Verdict(n=N, match=True))
    side.bench.fed.clear()
    side.devices_changed(2)
    assert side.bench.fed == []
    assert side.spy.acts == ["end", "recycle"]


def test_after_a_match_the_next_process_starts_when_it_is_asked_for() -> None:
    side = Side()
    side.prepare(OPEN)
    side.heard(ipc.Verdict(n=N, match=True))
    assert (side.spy.acts, side.spy.up, side.there) == (["end"], False, True)
    side.end()
    side.end()
    assert (side.spy.acts, side.spy.up) == (["end", "recycle"], True)


def test_a_process_that_could_not_be_had_is_not_there() -> None:
    side = Side()
    side.prepare(OPEN)
    side.heard(ipc.Verdict(n=N, match=True))
    side.warm()
    side.spy.up = False
    assert not side.there
