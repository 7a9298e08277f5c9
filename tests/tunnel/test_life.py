"""A tunnel's life, told with a clock of our own."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.tunnel.life import AGAIN_S, ASK_FIRST_S, COUNT_S, Do, Life, Over, Probe
from sdbox_agent.tunnel.mtu import MOST_BYTES, Width
from tests.tunnel.line import Line, up


def a_life(lease_s: float = 1e9, *, carrier: bool = False) -> Life:
    return Life(0.0, lease_s, Width(MOST_BYTES, 496), carrier)


def silent(life: Life) -> Line:
    line = Line(life)
    line.greets = False
    return line


def over(line: Line, until_s: float = 1e6) -> tuple[float, str]:
    with pytest.raises(Over) as end:
        line.run(until_s)
    return line.now_s, end.value.code


# -- coming up -----------------------------------------------------------------------------------


def test_the_first_probe_goes_at_once() -> None:
    life = Life(10.0, 70.0, Width(MOST_BYTES, 496))
    assert life.due(10.0) == [Probe(1)]


def test_nothing_is_asked_before_the_probe_that_begins_it() -> None:
    """However long it took until the first look."""
    life = Life(10.0, 70.0, Width(MOST_BYTES, 496))
    assert life.due(10.3) == [Probe(1)]
    assert life.next_s() == pytest.approx(10.3 + ASK_FIRST_S)
    assert life.due(10.3 + ASK_FIRST_S) == [Do.ASK]


def test_it_is_up_only_with_handshake_and_answer_and_is_told_once() -> None:
    life = a_life()
    life.due(0.0)
    assert Do.RISE not in life.due(0.001)
    life.handshake_seen(0.002)
    assert life.due(0.002) == []
    life.answer_seen(0.003, 1, 44)
    assert life.next_s() <= 0.003
    assert life.due(0.003) == [Do.RISE]
    assert Do.RISE not in life.due(0.003)
    assert life.pulse is not None


def test_an_answer_before_the_handshake_was_seen_asks_for_it_at_once() -> None:
    line = silent(a_life()).run(0.9)
    line.life.answer_seen(0.901, 1, 44)
    line.life.answer_seen(0.902, 2, 44)
    assert line.life.answer_s == 0.901
    assert line.life.next_s() <= 0.901
    assert Do.ASK in line.life.due(0.901)
    line.life.handshake_seen(0.902)
    assert Do.RISE in line.life.due(0.902)


def test_only_the_first_handshake_starts_the_vms_time() -> None:
    line = silent(a_life()).run(0.9)
    line.life.handshake_seen(1.0)
    line.life.handshake_seen(3.0)
    line.vm = False
    assert over(line) == (4.0, "vm-silent")


def test_between_handshake_and_answer_probes_come_closely_then_slower() -> None:
    line = Line()
    line.vm = False
    line.run(2.0)
    times = line.times(Probe)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[1] < 0.02
    assert gaps[-1] == pytest.approx(0.1)


# -- not coming up -------------------------------------------------------------------------------


def test_no_handshake_ends_it_after_five_seconds() -> None:
    assert over(silent(a_life())) == (5.0, "handshake-timeout")


def test_a_lost_initiation_is_repeated_long_before_wireguard_would() -> None:
    line = silent(a_life()).run(0.5)
    line.greets = True
    line.run(1.5)
    assert line.times(Do.AGAIN) == [AGAIN_S[0]]
    assert line.life.pulse is not None
    line = silent(a_life()).run(4.9)
    assert line.times(Do.AGAIN) == list(AGAIN_S)


def test_a_slow_answer_is_waited_for() -> None:
    line = Line(round_trip_s=1.4).run(4.5)
    assert line.life.handshake_s is not None


def test_a_way_that_changes_before_the_handshake_starts_it_anew() -> None:
    line = silent(a_life()).run(0.5)
    line.life.way_changed(0.5)
    line.greets = True
    line.run(0.6)
    assert line.times(Do.AGAIN) == [0.5]
    assert line.life.pulse is not None
    line.run(4.9)
    assert line.times(Do.AGAIN) == [0.5]


def test_a_way_that_changes_between_handshake_and_answer_changes_nothing() -> None:
    line = Line()
    line.vm = False
    line.run(1.0)
    next_s = line.life.next_s()
    line.life.way_changed(1.0)
    assert line.life.next_s() == next_s


def test_a_silent_vm_ends_it_three_seconds_after_the_handshake() -> None:
    line = Line()
    line.vm = False
    at_s, code = over(line)
    assert code == "vm-silent"
    assert at_s == pytest.approx(3.0, abs=0.1)


def test_a_carrier_is_tried_once_with_the_same_deadlines() -> None:
    line = silent(a_life(carrier=True)).run(9.9)
    assert line.times(Do.CARRY) == [5.0]
    assert 5.0 in line.times(Probe)  # it starts a handshake
    assert line.times(Do.AGAIN) == [1.0, 2.5, 6.0, 7.5]
    assert over(line) == (10.0, "handshake-timeout")


def test_over_the_carrier_the_vm_has_its_time_from_the_handshake() -> None:
    line = silent(a_life(carrier=True)).run(5.9)
    line.life.handshake_seen(6.0)
    line.vm = False
    assert over(line) == (9.0, "vm-silent")


def test_a_handshake_in_time_needs_no_carrier() -> None:
    line = up(Line(a_life(carrier=True)))
    assert line.run(60.0).times(Do.CARRY) == []


# -- the lease -----------------------------------------------------------------------------------


def test_the_lease_ends_it_up_or_not() -> None:
    assert over(silent(a_life(1.0))) == (1.0, "lease-expired")
    assert over(Line(a_life(60.0))) == (60.0, "lease-expired")


def test_an_extension_counts_from_its_arrival_and_comes_never_too_late() -> None:
    life = a_life(60.0)
    life.extend(50.0, 60.0)
    assert life.lease_end_s == 110.0
    with pytest.raises(Over):
        life.extend(110.0, 60.0)


def test_a_box_that_slept_longer_than_the_lease_ends_it_before_all_else() -> None:
    line = up(Line(a_life(60.0)))
    line.life.answer_seen(3600.0, 1, 44)  # whatever woke it
    with pytest.raises(Over, match="lease-expired"):
        line.life.due(3600.0)


# -- up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment_s", [10.0 + 0.05 * n for n in range(9)])
def test_a_vm_that_is_lost_is_noticed_within_a_second(moment_s: float) -> None:
    line = up().run(moment_s)
    line.vm = False
    at_s, code = over(line)
    assert code == "tunnel-lost"
    assert 0.3 < at_s - moment_s < 0.95


def test_what_else_comes_through_keeps_it_and_its_end_is_noticed() -> None:
    line = up()
    line.vm = False
    for tick in range(100):
        line.received_bytes += 100
        line.run(2.0 + 0.1 * tick)
    at_s, code = over(line)
    assert code == "tunnel-lost"
    assert at_s - 11.9 < 0.95


def test_a_changed_way_is_looked_at_at_once() -> None:
    line = up().run(5.1)
    line.life.way_changed(5.1)
    line.run(5.1)
    assert line.times(Probe)[-1] == 5.1
    assert line.times(Probe, small=False)[-1] == 5.1


def test_while_all_is_well_little_is_done() -> None:
    line = up(Line(round_trip_s=0.02))
    before = len(line.done)
    line.run(62.0)
    kinds = [task for _, task in line.done[before:]]
    assert kinds.count(Do.COUNT) == 60 / COUNT_S
    assert len([task for task in kinds if isinstance(task, Probe)]) < 60 / 0.4 + 6
    assert not {Do.ASK, Do.AGAIN, Do.NARROW} & set(kinds)


def test_what_the_session_sends_is_told_and_what_it_does_not_is_not() -> None:
    line = up().run(7.0)
    line.sent_bytes = 1000
    line.run(13.0)
    assert len(line.active) == 1
    line.run(60.0)
    assert len(line.active) == 1
    line.sent_bytes += 1
    line.run(71.0)
    assert len(line.active) == 2


def test_what_was_sent_before_the_first_look_is_nobodys() -> None:
    line = up()
    line.sent_bytes = 500  # the kernel's own, as the interface comes up
    assert line.run(60.0).active == []


def test_what_is_sent_is_not_looked_at_while_a_probe_is_missing() -> None:
    """It may still lie before WireGuard, counted by us and not by the interface."""
    line = up().run(9.5)
    line.vm = False
    line.run(9.9)
    line.sent_bytes += 44
    line.run(10.0)
    line.sent_bytes -= 44
    line.vm = True
    assert line.run(60.0).active == []


def test_what_is_sent_is_not_looked_at_while_sizes_are() -> None:
    line = up().run(4.9)
    line.passes_bytes = 1300
    line.life.way_changed(4.9)
    line.run(9.0)
    (narrowed_s,) = line.times(Do.NARROW)
    (counted_s,) = line.times(Do.COUNT)
    assert 5.0 < narrowed_s < counted_s


def test_a_black_hole_is_survived() -> None:
    line = Line()
    line.passes_bytes = 1300
    up(line)
    assert len(line.times(Do.NARROW)) == 1
    assert line.life.width.mtu_bytes == 1280
    line.run(30.0)
    line.passes_bytes = 576
    line.run(60.0)
    assert line.life.width.mtu_bytes == 496
    assert len(line.times(Do.NARROW)) == 2


def test_a_vm_that_is_missing_says_nothing_about_sizes() -> None:
    line = up().run(10.0)
    line.life.way_changed(10.0)
    line.vm = False
    over(line)
    assert line.times(Do.NARROW) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["beat", "handshake", "answer", "extend", "way", "count"]),
            st.floats(0, 4),
        )
    )
)
def test_no_history_keeps_it_beyond_lease_or_up_without_proof(
    history: list[tuple[str, float]],
) -> None:
    life, now_s = Life(0.0, 10.0, Width(MOST_BYTES, 496)), 0.0
    try:
        for event, gap_s in history:
            now_s += gap_s
            match event:
                case "handshake":
                    life.handshake_seen(now_s)
                case "answer":
                    life.answer_seen(now_s, 1, 44)
                case "extend":
                    life.extend(now_s, 10.0)
                case "way":
                    life.way_changed(now_s)
                case "count":
                    life.counted(now_s, 1, 1)
                case _:
                    pass
            tasks = life.due(now_s)
            assert now_s < life.lease_end_s
            assert tasks or life.next_s() > now_s  # else the helper would spin
            if life.pulse is not None:
                assert life.handshake_s is not None
                assert life.answer_s is not None
    except Over:
        with pytest.raises(Over):
            life.due(now_s)
