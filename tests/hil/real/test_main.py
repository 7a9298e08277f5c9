"""The command whole, on virtual hardware: a real pcscd, and hands that do as they are told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def command(out: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hil.real", "--out", str(out), *words],
        cwd=ROOT, input=typed, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_it_refuses_when_nothing_of_the_profile_is_plugged_in(tmp_path: Path) -> None:
    done = command(tmp_path, "raspberry-pi-4-scr3310-u4000")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no reader of profile raspberry-pi-4-scr3310-u4000 is plugged in" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.rig
def test_every_scenario_is_played_and_reported(tmp_path: Path) -> None:
    done = command(tmp_path, "virtual", "--language", "en", "--patience", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "virtual.json").read_text())
    verdicts = {one["name"]: one["verdict"] for one in report["results"]}
    assert verdicts == {
        "enrolment": "passed",
        "session": "passed",
        "other-finger": "passed",
        "pulled-early": "passed",
        "foreign-card": "passed",
        "sensor-unplugged": "passed",
        "reader-unplugged": "skipped",
        "revoked-card": "passed",
    }
    skipped = next(one for one in report["results"] if one["verdict"] == "skipped")
    assert skipped["reason"] == "a virtual reader has no plug"
    assert all(one["steps"] for one in report["results"] if one["name"] == "session")
    assert "Insert the test card." in done.stdout
    page = (tmp_path / "virtual.md").read_text()
    assert "7 passed, 0 failed, 1 skipped" in page
