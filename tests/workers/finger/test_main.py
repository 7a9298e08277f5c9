"""The finger process as the machine sees it: what it holds open, locks and says."""

import errno
import os
import sys
from pathlib import Path

import pytest

from sdbox_agent import hardening, ipc
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.workers.finger import __main__ as finger
from tests.workers.finger_bench import STRANGER, Bench, N, record

pytestmark = pytest.mark.rig


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as made:
        yield made


def test_no_sensor_is_said_at_once(tmp_path) -> None:
    with Bench(tmp_path, sensor=False) as bench:
        assert bench.answer() == ipc.Failed(code="sensor-missing")
        assert bench.ended() == 1


def test_nothing_is_swapped_dumped_or_written(bench, tmp_path) -> None:
    bench.prepared()
    bench.scan(STRANGER.touch(2, 1).pixels)
    bench.compare(*(STRANGER.touch(2, seed).pixels for seed in (2, 3)))
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


def test_no_finger_is_taken_where_memory_may_be_swapped(monkeypatch, capsys) -> None:
    def not_locked() -> None:
        raise OSError(errno.ENOMEM, "mlockall")

    heard: list[str] = []
    monkeypatch.setattr(hardening, "lock_memory", not_locked)
    monkeypatch.setattr(hardening, "has_swap", lambda: True)
    monkeypatch.setattr(finger, "lock_memory", not_locked, raising=False)
    monkeypatch.setattr(finger, "close_memory", lambda: None)
    monkeypatch.setattr(ipc, "listen_descriptors", lambda: heard.append("asked") or [])
    monkeypatch.setattr(sys, "argv", ["finger", "--root=/", "--core-uid=1", "--card-uid=2"])
    assert finger.main() == 2
    assert not heard
    assert capsys.readouterr().err == "memory can't be kept private: Cannot allocate memory\n"


def test_templates_of_the_bench_are_ordinary() -> None:
    assert all(len(view.minutiae) >= 20 for view in iso.decode(record()).views)
