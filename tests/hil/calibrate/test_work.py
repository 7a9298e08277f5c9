import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hil.calibrate import decisions, people, real, work
from hil.calibrate.decisions import Plan
from tests.waiting import until

PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from hil.calibrate import work
pool = ProcessPoolExecutor(
    1, multiprocessing.get_context("spawn"), work.begin, (os.getpid(),)
)
print(pool.submit(os.getpid).result(), flush=True)
time.sleep(60)
"""


def test_a_process_dies_with_the_one_that_started_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(work.__file__).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        child = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until(lambda: _gone(child))


def _gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")")[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_results_come_in_the_order_of_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert work._spread(pool, "squares", lambda n: n * n, range(5)) == [0, 1, 4, 9, 16]
    assert "5 of 5 squares" in capsys.readouterr().out


def test_a_task_that_fails_ends_the_run() -> None:
    def fail(task: int) -> int:
        raise ValueError(task)

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="1"):
        work._spread(pool, "failures", fail, [1])


def test_fingers_are_made_before_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    plan = Plan(people=4, block=2)

    def joined(tiles: list[object]) -> tuple[str, str, str, str]:
        assert tiles == plan.tiles()
        return "impostor", "genuine", "refused", "measures"

    monkeypatch.setattr(people, "finger", lambda number, captures, folder: done.append(number))
    monkeypatch.setattr(
        decisions, "tile", lambda plan, *blocks, folder: done.append(blocks) or blocks
    )
    monkeypatch.setattr(decisions, "joined", joined)
    with ThreadPoolExecutor(1) as pool:
        measured = work.virtual(pool, plan, tmp_path)
    assert done == [*range(8), *plan.tiles()]
    assert (measured.kind, measured.impostor) == ("virtual", "impostor")


def test_where_there_are_no_sets_there_is_nothing_real(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert work.real_sets(pool, tmp_path, tmp_path) == []


def test_all_sets_come_before_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "sets", lambda folder: [Path("one"), Path("two")])
    monkeypatch.setattr(real, "decided", lambda path, keep: path.name)
    monkeypatch.setattr(real, "joined", lambda found: (found, found, found, found))
    with ThreadPoolExecutor(1) as pool:
        kinds = [(m.kind, m.impostor) for m in work.real_sets(pool, tmp_path, tmp_path)]
    assert kinds == [
        ("real: all sets", ["one", "two"]),
        ("real: one", ["one"]),
        ("real: two", ["two"]),
    ]
