"""The bench tells the truth about what it saw, and says so when an aim is missed."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hil import bench
from hil.bench_figures import AIMS, Group, interval, missed, table, timing
from hil.bench_processes import Moved, cpu_ns, idle_percent, pss_mb
from hil.net import bench as bench_tunnel
from hil.net import carrier_bench

TIMINGS = {
    "card_in_to_prompt_ms",
    "image_to_decision_ms",
    "decision_to_vm_ms",
    "decision_own_ms",
    "decision_card_ms",
    "decision_centre_ms",
    "decision_wireguard_ms",
    "card_out_to_all_gone_ms",
    "card_out_to_peer_removed_ms",
    "card_out_to_last_packet_ms",
    "card_pulled_to_last_packet_ms",
    "session_total_ms",
    "card_own_ms",
    "card_own_cpu_ms",
    "card_itself_ms",
    "centre_ms",
    "pkcs11_tool_ms",
    "pkcs11_tool_talk_ms",
    "pq_total_ms",
}
OTHERS = {  # cards that are not the ordinary one
    "card_in_to_prompt_card_match_ms",
    "card_own_card_match_ms",
    "card_in_to_prompt_card_pin_ms",
    "card_own_card_pin_ms",
    "unwrap_good_ms",
    "unwrap_tag_ms",
    "unwrap_wrap_ms",
    "unwrap_another_point_ms",
    "unwrap_card_refuses_ms",
    "after_mute_card_in_to_prompt_ms",
}
TUNNEL_TIMINGS = {
    "helper_prepare_ms",
    "helper_start_ms",
    "helper_ready_ms",
    "helper_open_ms",
    "helper_up_ms",
    "by_hand_up_ms",
    "wg_quick_up_ms",
    "helper_close_ms",
    "helper_last_packet_ms",
    "helper_killed_ms",
    "roam_ms",
    "lost_ms",
    "narrow_ms",
}
EVERY_AIM = {name: aims for group in AIMS.values() for name, aims in group.items()}
GOOD = {
    "card_in_to_prompt_ms": {"p50": 250.0, "p95": 251.0, "p99": 999.0, "n": 3},
    "card_own_ms": {"p50": 40.0},
    "mute_card_s": 10.5,
    "image_to_decision_ms": {"p50": 1.0},
    "decision_to_vm_ms": {"p50": 1.0},
    "pq_total_ms": {"p50": 3.0},
    "card_out_to_last_packet_ms": {"p50": -0.1, "p99": 5.0},
    "card_out_to_all_gone_ms": {"p99": 100.0},
    "card_out_to_peer_removed_ms": {"p99": 100.0},
    "card_pulled_to_last_packet_ms": {"p50": 1000.0, "p99": 450.0},
    "pss_mb": {"core": 45.0, "card": 1.0, "finger": 1.0, "tunnel": 1.0},
    "pss_all_mb": 140.0,
    "idle_cpu_percent": 0.1,
    **{f"ready_{name}_ms": {"p99": 1000.0} for name in ("core", "tunnel", "walls")},
    "tunnel_throughput_ratio": {"p50": 0.95, "low": 0.5},
    "leaked_frames": 0,
    "revoked_to_box_ms": {"p99": 2000.0},
}


def test_a_timing_holds_measured_values_only() -> None:
    assert timing([3, 1, 2]) == {"p50": 2, "p95": 3, "p99": 3, "n": 3}
    assert timing(range(1, 201)) == {"p50": 100, "p95": 190, "p99": 198, "n": 200}
    assert timing([7.004]) == {"p50": 7.0, "p95": 7.0, "p99": 7.0, "n": 1}


def test_nothing_measured_is_no_timing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        timing([])


def test_at_its_aim_a_figure_keeps_it() -> None:
    assert missed(GOOD) == []


@pytest.mark.parametrize("name", EVERY_AIM)
def test_beyond_its_aim_a_figure_misses_it_and_so_does_one_that_is_not_there(name) -> None:
    for aim in EVERY_AIM[name]:
        worse = aim.bound * 0.999 if aim.at_least else aim.bound * 1.001 + 0.001
        figure = worse if aim.of is None else {**GOOD[name], aim.of: worse}
        for figures in ({**GOOD, name: figure}, {k: v for k, v in GOOD.items() if k != name}):
            assert any(complaint.startswith(name) for complaint in missed(figures))
    assert "MISSED" in table({**GOOD, name: figure})
    assert "MISSED" not in table(GOOD)


def test_only_what_was_to_be_measured_misses_its_aim() -> None:
    tunnel = {name: GOOD[name] for name in AIMS[Group.TUNNEL]}
    assert missed(tunnel, {Group.TUNNEL}) == []
    assert missed(tunnel, {Group.TUNNEL, Group.CARDS}) == ["mute_card_s: None, aim ≤ 10.5"]


def test_an_interval_holds_its_median_and_narrows_with_more_of_the_same() -> None:
    ratios = [0.9, 1.0, 1.1, 0.95, 1.05]
    few = interval(ratios, random.Random(1))
    many = interval(ratios * 20, random.Random(1))
    for one in (few, many):
        assert one["low"] <= one["p50"] == 1.0 <= one["high"]
    assert many["high"] - many["low"] < few["high"] - few["low"]
    assert (few["n"], many["n"]) == (5, 100)


def test_every_threads_time_counts_and_a_busy_one_is_seen() -> None:
    script = (
        "import threading, time\n"
        "def spin():\n while True: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\n"
        "print(flush=True); time.sleep(30)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as busy:
        try:
            assert busy.stdout is not None
            busy.stdout.readline()
            shares = idle_percent({"busy": [busy.pid], "nobody": []}, 0.5)
            main_ns = int(Path(f"/proc/{busy.pid}/schedstat").read_text().split()[0])
            assert cpu_ns(busy.pid) > main_ns  # its first thread sleeps
        finally:
            busy.kill()
    assert shares["busy"] > 10
    assert shares["nobody"] == 0


def test_a_process_that_ends_meanwhile_spoils_the_measure() -> None:
    brief = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ending = threading.Timer(0.2, brief.kill)
    ending.start()
    try:
        with pytest.raises(Moved):
            idle_percent({"brief": [brief.pid]}, 0.8)
    finally:
        ending.join()
        brief.communicate()


def test_memory_is_in_mb() -> None:
    resident_mb = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert 0 < pss_mb(os.getpid()) <= resident_mb / 2**20 * 1.1


def _times(name: str) -> int:
    """How often it was measured, in a run of two sessions and one of everything else."""
    if name == "narrow_ms":
        return 3
    once = name in OTHERS | TUNNEL_TIMINGS or name.startswith(("pkcs11_tool", "ready_"))
    return 1 if once else 2


@pytest.mark.rig
def test_a_short_run_has_every_figure_in_its_form(tmp_path) -> None:
    plan = bench.Plan(
        rounds=2,
        idle_s=2.0,
        budget_s=40.0,
        others=1,
        mutes=1,
        tunnel=bench_tunnel.Plan(
            ups=1, last_packets=1, kills=1, pairs=2, pair_s=0.05, lives=1, campaign=2
        ),
        carried=0,
        linked=0,
    )
    figures = bench.measure(plan)
    out = json.loads(json.dumps(figures))
    assert out.keys() >= TIMINGS | OTHERS | TUNNEL_TIMINGS
    for name, figure in out.items():
        if name.endswith("_ms"):
            assert figure.keys() == {"p50", "p95", "p99", "n"}
            assert figure["n"] + out["spoilt_rounds"] == _times(name)
            assert figure["p50"] <= figure["p95"] <= figure["p99"]
        elif name == "tunnel_throughput_ratio":
            assert 0 < figure["low"] <= figure["p50"] <= figure["high"]
        elif name == "pss_mb":
            assert figure.keys() == {"core", "card", "finger", "tunnel", "console"}
            assert all(5 < value < 200 for value in figure.values())
        else:
            assert isinstance(figure, float | int)
    assert out["spoilt_rounds"] == 0
    # A whole is not less than its parts; what is never instantaneous was not measured at once.
    assert out["session_total_ms"]["p99"] > out["card_in_to_prompt_ms"]["p50"] > 5
    assert out["card_in_to_prompt_ms"]["p99"] >= out["in_opening_ms"]["p50"] > 5
    assert out["card_in_to_prompt_ms"]["p99"] > out["card_own_ms"]["p99"] > 5
    assert out["card_own_cpu_ms"]["p50"] > 5
    assert out["card_itself_ms"]["p50"] > 0.3  # two private keys were used
    assert out["centre_ms"]["p50"] > 2
    assert out["card_exchanges"] >= 3 * 3 + 2
    assert out["pkcs11_tool_ms"]["p50"] > out["pkcs11_tool_talk_ms"]["p50"] > 1
    assert 10 <= out["mute_card_s"] < 15
    assert out["image_to_decision_ms"]["p50"] > 20  # libfprint's detector alone
    assert out["decision_to_vm_ms"]["p50"] > 5
    assert out["decision_to_vm_ms"]["p99"] > out["decision_own_ms"]["p50"] > 0
    assert out["decision_wireguard_ms"]["p50"] > 0.5
    assert out["card_out_to_all_gone_ms"]["p50"] > 1
    assert -100 < out["card_out_to_last_packet_ms"]["p99"] < 100  # a flood has gaps
    assert out["by_hand_up_ms"]["p50"] > 1
    assert out["wg_quick_up_ms"]["p50"] > 10  # a shell and twenty processes
    assert out["leaked_frames"] == 0
    assert out["frames_seen"] > 0
    assert out["card_pulled_to_last_packet_ms"]["p99"] < 1000
    assert out["pss_wireguard_go_mb"] > 1
    assert table(figures)


@pytest.mark.rig
def test_a_tunnel_over_udp_and_one_over_tls_are_measured_side_by_side() -> None:
    out = json.loads(json.dumps(carrier_bench.run(1)))
    for way in ("plain", "carried"):
        assert out[f"{way}_ping_ms"]["p50"] > 0
        assert out[f"{way}_loaded_ping_ms"]["n"] > 0
        assert out[f"{way}_mbit_s"] > 1
    assert out["carried_open_ms"]["p50"] > 5000  # what UDP is given first
    assert out["carried_ratio"] > 0
    assert out["pss_carrier_mb"] > 1
