"""The command: what it lacks it says, and what the tests came to is its status."""

import shutil
from pathlib import Path

import pytest

from hil.vm import __main__ as command
from hil.vm import machine
from hil.vm.image import REPOSITORY, ChildFailed, Image


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "KEPT", tmp_path)
    monkeypatch.setattr(command, "missing", lambda: None)
    monkeypatch.setattr(command, "image", lambda: Image(tmp_path))
    return tmp_path


@pytest.mark.parametrize("absent", ["mmdebstrap", "qemu-system-x86_64"])
def test_what_the_host_lacks_is_said_and_no_failure(
    absent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(command.os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == absent else name)
    assert command.main([]) == 0
    assert capsys.readouterr().out.startswith(f"skipped: host has no {absent} (Debian: ")


def test_whoever_is_not_root_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(command.os, "geteuid", lambda: 1000)
    assert command.main([]) == 0
    assert "root" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [[], ["tests/tunnel/test_link.py", "-k", "a b"]])
def test_the_tests_status_is_ours_and_their_report_is_kept(
    asked: list[str], kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(_image: Image, words: list[str], _within_s: float) -> machine.Result:
        commands.append(words)
        return machine.Result(1, b"<xml/>")

    monkeypatch.setattr(machine, "run", run)
    assert command.main(asked) == 1
    assert (kept / "junit.xml").read_bytes() == b"<xml/>"
    assert commands[0][-len(asked or command.TESTS) :] == (asked or list(command.TESTS))


@pytest.mark.parametrize(("asked", "status"), [([], 1), (["tests/tunnel/test_link.py"], 0)])
def test_a_machine_without_what_it_is_there_for_is_a_failure(
    asked: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = b'<testcase><skipped message="no WireGuard in this kernel"/></testcase>'
    monkeypatch.setattr(machine, "run", lambda *_: machine.Result(0, left))
    assert command.main(asked) == status


@pytest.mark.parametrize("error", [machine.NoResult("it left none"), ChildFailed("mke2fs: 1")])
def test_a_machine_that_came_to_nothing_is_a_failure(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object) -> machine.Result:
        raise error

    monkeypatch.setattr(machine, "run", run)
    assert command.main([]) == 1
    assert str(error) in capsys.readouterr().err


def test_the_tests_it_runs_are_there() -> None:
    files = [each for each in command.TESTS if each.endswith(".py")]
    assert len(files) > 5
    assert [each for each in files if not (REPOSITORY / each).is_file()] == []


def test_the_box_alone_is_the_box_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "box", lambda: 5)
    monkeypatch.setattr(command, "inside", lambda _: pytest.fail("not asked for"))
    assert command.main([command.BOX]) == 5


@pytest.mark.parametrize(("script", "status"), [("0", 0), ("3", 3)])
def test_the_boxs_status_is_its_tests(
    script: str, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexit {script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(command.sys, "executable", str(python))
    assert command.box() == status
