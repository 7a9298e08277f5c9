"""The fuzz runner: a sound target passes, and what breaks one is found and printed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("run.py")
SOUND = "def target(data):\n    pass\n"
BREAKS = "def target(data):\n    if data[:1] == b'\\xca':\n        raise KeyError\n"
BREAKS_ON_ITS_SEED = "def target(data):\n    assert data != b'seed'\n"
ENDS = "import os\n\n\ndef target(data):\n    os._exit(0)\n"


def run(root: Path, body: str) -> subprocess.CompletedProcess[str]:
    here = root / "tests" / "fuzz"
    here.mkdir(parents=True)
    shutil.copy(RUNNER, here)
    (here / "fuzz_planted.py").write_text(f"SEEDS = [b'seed']\n\n\n{body}")
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "--each", "1", "planted"],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_sound_target_passes_and_its_executions_are_counted(tmp_path: Path) -> None:
    done = run(tmp_path, SOUND)
    assert done.returncode == 0, done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("planted"))
    assert int(line.split()[1]) > 100
    assert line.endswith("ok")


def test_an_input_that_breaks_a_target_is_printed_as_hex(tmp_path: Path) -> None:
    done = run(tmp_path, BREAKS)
    assert done.returncode == 1
    assert "planted: crash-" in done.stdout
    assert ": ca" in done.stdout


@pytest.mark.parametrize("body", [BREAKS_ON_ITS_SEED, ENDS, "import nothing_of_that_name\n"])
def test_a_target_that_does_not_run_is_no_success(tmp_path: Path, body: str) -> None:
    done = run(tmp_path, body)
    assert done.returncode == 1
    assert "FAILED" in done.stdout


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "nobody"],
        cwd=RUNNER.parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no such target: nobody" in done.stderr
