"""`sdbox-agent doctor`, as a person or a monitoring system runs it."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from sdbox_agent import ipc
from sdbox_agent.daemon import view
from sdbox_agent.provision.doctor.examine import CHECKS
from sdbox_agent.provision.doctor.finding import ACTIVATION
from tests.boxed import OPEN, Box
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


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (OPEN, ("ok", "", "open")),
        (
            replace(OPEN, link=view.LinkView(up=False, since_ms=0, code="centre-slow")),
            ("warn", "centre-unreachable", "centre-slow"),
        ),
        (
            replace(OPEN, link=view.LinkView(up=False, since_ms=0)),
            ("warn", "centre-unreachable", "centre-unreachable"),
        ),
        (replace(OPEN, link=view.LinkView(up=True, since_ms=0)), ("ok", "", "open")),
        (replace(OPEN, state="broken"), ("failed", "tunnel-not-down", "broken")),
        (view.NotTaken(code="not-allowed"), ("skipped", "", "")),
        (view.Taken(), ("failed", "worker-protocol", "")),
    ],
)
def test_the_running_program_is_asked_how_it_is(
    run, box: Box, answer: ipc.Message, told: tuple[str, str, str]
) -> None:
    box.answers(answer)
    _, out, _ = run("doctor", "--live", "--json")
    (found,) = (each for each in json.loads(out)["checks"] if each["check"] == "agent")
    assert (found["result"], found.get("code", ""), found["detail"]) == told


def test_a_program_that_hangs_or_is_gone_is_a_failure(run, box: Box) -> None:
    box.serve = lambda client: client.close()
    _, out, _ = run("doctor", "--live", "--json")
    assert '"code":"agent-unreachable"' in out
