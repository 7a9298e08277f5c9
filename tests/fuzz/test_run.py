"""The fuzz runner: a sound target passes, and what breaks one is found and printed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import run as runner

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PARSER = """def parse(data):
    if data == b"never":
        return 1
    return 0


def all_of_it(data):
    if data:
        return 1
    return 0
"""
SOUND = "def target(data):\n    parser.all_of_it(data)\n"
BREAKS = "def target(data):\n    if data[:1] == b'\\xca':\n        raise KeyError\n"
BREAKS_ON_ITS_SEED = "def target(data):\n    assert data != b'seed'\n"
BREAKS_ON_ITS_TOKEN = "TOKENS = [b'\\x01\"\\xffword']\n\n\n" + (
    "def target(data):\n    assert TOKENS[0] not in data\n"
)
BREAKS_ON_ITS_MUTATION = (
    "def MUTATE(data, size, seed):\n    return b'mut'\n\n\n"
    "def target(data):\n    assert data != b'mut'\n"
)
ENDS = "import os\n\n\ndef target(data):\n    os._exit(0)\n"
MISSES = "PARSERS = [parser.parse]\n\n\ndef target(data):\n    parser.parse(b'')\n"


def run(root: Path, body: str, *options: str) -> subprocess.CompletedProcess[str]:
    here = root / "tests" / "fuzz"
    here.mkdir(parents=True)
    for name in ("run.py", "cover.py"):
        shutil.copy(HERE / name, here)
    (root / "hil").mkdir()
    (root / "hil" / "__init__.py").touch()
    (root / "hil" / "parser.py").write_text(PARSER)
    (here / "fuzz_planted.py").write_text(
        "from hil import parser\n\nPARSERS = [parser.all_of_it]\n"
        f"SEEDS = [b'seed', b'']\n\n\n{body}"
    )
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", *(options or ("--each", "1")), "planted"],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_sound_target_passes_and_its_inputs_and_branches_are_counted(tmp_path: Path) -> None:
    done = run(tmp_path, SOUND)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    (line,) = (line for line in lines if line.startswith("planted"))
    assert int(line.split()[1]) > 100
    assert line.endswith("ok")
    (line,) = (line for line in lines if line.startswith("1 targets, ") and "inputs" in line)
    assert int(line.split()[2]) > 100
    assert (tmp_path / "build/fuzz/corpus/planted/seed-0").read_bytes() == b"seed"


@pytest.mark.parametrize(("divisor", "wanted"), [("", 5000), ("DIVISOR = 10\n\n\n", 500)])
def test_inputs_are_counted_out(tmp_path: Path, divisor: str, wanted: int) -> None:
    done = run(tmp_path, divisor + SOUND, "--inputs", "5000")
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("planted"))
    assert wanted <= int(line.split()[1]) <= wanted + 10


def test_an_input_that_breaks_a_target_is_printed_as_hex(tmp_path: Path) -> None:
    done = run(tmp_path, BREAKS)
    assert done.returncode == 1
    assert "planted: crash-" in done.stdout
    assert ": ca" in done.stdout


@pytest.mark.parametrize("body", [BREAKS_ON_ITS_TOKEN, BREAKS_ON_ITS_MUTATION])
def test_tokens_and_mutations_of_a_target_are_used(tmp_path: Path, body: str) -> None:
    done = run(tmp_path, body, "--each", "5")
    assert done.returncode == 1
    assert "planted: crash-" in done.stdout


@pytest.mark.parametrize("body", [BREAKS_ON_ITS_SEED, ENDS, "import nothing_of_that_name\n"])
def test_a_target_that_does_not_run_is_no_success(tmp_path: Path, body: str) -> None:
    done = run(tmp_path, body)
    assert done.returncode == 1
    assert "FAILED" in done.stdout


def test_a_parser_that_is_not_reached_is_no_success_and_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, MISSES)
    assert done.returncode == 1
    assert "under 95 %: hil.parser.parse" in done.stdout
    assert "missed: 2->3 3" in done.stdout


def test_libfuzzers_own_mutations_are_mixed_in() -> None:
    mutate = runner.mixed(lambda *_: b"own, cut", lambda *_: b"plain")
    assert {mutate(b"", 3, seed) for seed in range(8)} == {b"own", b"plain"}
    nothing = runner.mixed(lambda *_: None, lambda *_: b"plain")
    assert {nothing(b"", 1, seed) for seed in range(8)} == {b"plain"}


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "nobody"],
        cwd=HERE.parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no such target: nobody" in done.stderr
