"""`sdbox-agent doctor`, as a person or a monitoring system runs it."""

import json
from pathlib import Path

import pytest

from sdbox_agent.provision.doctor.examine import CHECKS
from sdbox_agent.provision.doctor.finding import ACTIVATION
from tests.provision.doctor.trees import grow, spoil


def test_a_person_reads_and_monitoring_goes_by_the_status(run, tmp_path: Path) -> None:
    code, out, err = run("doctor", "--profiles", "/nonexistent")
    assert (code, err) == (2, "")
    assert "failed   System users" in out
    assert out.splitlines()[-1].startswith("ok ")


def test_json_is_one_line_with_every_check(run, tmp_path: Path) -> None:
    grow(tmp_path)
    code, out, _ = run("doctor", "--json")
    told = json.loads(out)
    assert {each["check"] for each in told["checks"]} == set(CHECKS)
    assert {0: "ok", 1: "warn", 2: "failed"}[code] == told["result"]


@pytest.mark.parametrize(
    ("gone", "status"),
    [
        ((), 0),
        (("sys/dev/block/253:0/slaves",), 1),  # not encrypted, and the settings let it be
        (("sys/dev/block/253:0/slaves", "etc/sdbox/box.toml"), 2),
        (("proc",), 2),  # nobody could look
    ],
)
def test_activation_asks_for_its_own_checks_alone(
    run, tmp_path: Path, gone: tuple[str, ...], status: int
) -> None:
    grow(tmp_path)
    for name in gone:
        spoil(tmp_path, name, None)
    code, out, _ = run("doctor", "--activation", "--json")
    assert code == status
    assert {each["check"] for each in json.loads(out)["checks"]} == ACTIVATION
