import pytest

from hil import link_bench

pytestmark = pytest.mark.slow


def test_every_figure_comes_of_real_streams() -> None:
    figures = link_bench.measure(boxes=4, acts=3, idle_s=0.1)
    assert figures.pop("stream_kib") is not None  # of so few, nothing is known
    assert figures["revoked_to_box_ms"]["n"] == 3
    assert figures["told_all_ms"]["n"] == 4
    assert 0 < figures["told_all_ms"]["p50"] < 1000 * link_bench.PATIENCE_S
    assert figures.keys() == {
        "revoked_to_box_ms",
        "told_all_ms",
        "streams_open_s",
        "streams_idle_cpu_percent",
    }
