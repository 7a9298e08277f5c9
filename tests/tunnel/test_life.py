"""A tunnel's life, told with a clock of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.tunnel.life import Do, Life, Over


def run(life: Life, until_s: float) -> list[tuple[float, Do]]:
    """Live on the machine's own deadlines; what was done, and when."""
    done: list[tuple[float, Do]] = []
    while (now_s := life.next_s()) <= until_s:
        done += [(now_s, task) for task in life.due(now_s)]
    return done


def over(life: Life, until_s: float = 100.0) -> tuple[float, str]:
    with pytest.raises(Over) as end:
        run(life, until_s)
    return life.next_s(), end.value.code


def risen() -> Life:
    life = Life(0.0, 60.0)
    life.due(0.0)
    life.handshake_seen(0.003)
    life.answer_seen(0.004)
    assert Do.RISE in life.due(0.004)
    return life


def test_the_first_probe_goes_at_once() -> None:
    assert Life(10.0, 70.0).due(10.0) == [Do.PROBE]


def test_it_is_up_only_with_handshake_and_answer_and_is_told_once() -> None:
    life = Life(0.0, 60.0)
    life.due(0.0)
    assert Do.RISE not in life.due(0.001)
    life.handshake_seen(0.002)
    assert Do.RISE not in life.due(0.002)
    life.answer_seen(0.003)
    assert life.due(0.003) == [Do.RISE]
    assert life.due(0.003) == []
    assert life.up


def test_an_answer_before_the_handshake_was_seen_asks_for_it_at_once() -> None:
    life = Life(0.0, 60.0)
    run(life, 1.0)
    life.answer_seen(1.001)
    assert life.next_s() <= 1.001
    assert Do.ASK in life.due(1.001)
    assert Do.RISE not in life.due(1.001)


def test_no_handshake_ends_it_after_five_seconds() -> None:
    life = Life(0.0, 60.0)
    assert over(life) == (5.0, "handshake-timeout")


def test_a_carrier_is_tried_once_with_the_same_deadlines() -> None:
    life = Life(0.0, 60.0, carrier=True)
    done = run(life, 5.5)
    assert [at_s for at_s, task in done if task is Do.CARRY] == [5.0]
    assert (5.0, Do.PROBE) in done[done.index((5.0, Do.CARRY)) :]  # it starts a handshake
    assert over(life) == (10.0, "handshake-timeout")


def test_over_the_carrier_the_vm_has_its_time_from_the_handshake() -> None:
    life = Life(0.0, 60.0, carrier=True)
    run(life, 6.0)
    life.handshake_seen(6.0)
    assert over(life) == (9.0, "vm-silent")


def test_a_handshake_in_time_needs_no_carrier() -> None:
    life = Life(0.0, 60.0, carrier=True)
    run(life, 4.0)
    life.handshake_seen(4.0)
    life.answer_seen(4.1)
    assert life.due(4.1) == [Do.PROBE, Do.RISE]
    assert run(life, 5.5) == [(5.1, Do.PROBE)]


def test_a_silent_vm_ends_it_three_seconds_after_the_handshake() -> None:
    life = Life(0.0, 60.0)
    life.due(0.0)
    life.handshake_seen(2.0)
    assert over(life) == (5.0, "vm-silent")


def test_the_lease_ends_it_up_or_not() -> None:
    assert over(Life(0.0, 1.0)) == (1.0, "lease-expired")
    life = risen()
    life.unanswered = -1000  # a VM that answers everything
    assert over(life) == (60.0, "lease-expired")


def test_an_extension_counts_from_its_arrival_and_comes_never_too_late() -> None:
    life = risen()
    life.extend(50.0, 60.0)
    assert life.lease_end_s == 110.0
    with pytest.raises(Over):
        life.extend(110.0, 60.0)


def test_three_lost_probes_end_it() -> None:
    life = risen()
    at_s, code = over(life)
    assert code == "tunnel-lost"
    assert 3.0 < at_s < 4.1


def test_an_answer_forgives_the_lost_ones() -> None:
    life = risen()
    run(life, 2.5)
    life.answer_seen(2.5)
    at_s, code = over(life)
    assert code == "tunnel-lost"
    assert at_s > 5.0


def test_once_up_one_probe_a_second_is_all_that_is_done() -> None:
    life = risen()
    life.unanswered = -1000
    done = run(life, 20.0)
    assert {task for _, task in done} == {Do.PROBE}
    assert len(done) == 19


@given(
    st.lists(st.tuples(st.sampled_from(["beat", "handshake", "answer", "extend"]), st.floats(0, 4)))
)
def test_no_history_keeps_it_beyond_lease_or_up_without_proof(
    history: list[tuple[str, float]],
) -> None:
    life, now_s = Life(0.0, 10.0), 0.0
    try:
        for event, gap_s in history:
            now_s += gap_s
            if event == "handshake":
                life.handshake_seen(now_s)
            elif event == "answer":
                life.answer_seen(now_s)
            elif event == "extend":
                life.extend(now_s, 10.0)
            tasks = life.due(now_s)
            assert now_s < life.lease_end_s
            assert tasks or life.next_s() > now_s  # else the helper would spin
            if life.up:
                assert life.handshake_s is not None
                assert life.answer_s is not None
    except Over:
        with pytest.raises(Over):
            life.due(now_s)


def test_handshake_and_answer_together_are_told_at_once() -> None:
    life = Life(0.0, 60.0)
    life.due(0.0)
    life.handshake_seen(0.002)
    life.answer_seen(0.002)
    assert life.next_s() <= 0.002  # no waiting for the next beat
    assert life.due(0.002) == [Do.RISE]


def test_only_the_first_handshake_starts_the_vms_time() -> None:
    life = Life(0.0, 60.0)
    life.due(0.0)
    life.handshake_seen(1.0)
    life.handshake_seen(3.0)
    assert over(life) == (4.0, "vm-silent")
