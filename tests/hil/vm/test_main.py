"""The command: what it lacks it says, and what the tests came to is its status."""

from pathlib import Path

import pytest

from hil.vm import __main__ as command
from hil.vm import machine
from hil.vm.box import disk
from hil.vm.image import REPOSITORY, ChildFailed, Image

ONE = "tests/tunnel/test_link.py"


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command.image, "KEPT", tmp_path)
    monkeypatch.setattr(command, "missing", lambda _: None)
    monkeypatch.setattr(command.image, "image", lambda: Image(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("root", "no root"),
        ("mmdebstrap", "no mmdebstrap (Debian: mmdebstrap)"),
        ("qemu-system-x86_64", "no qemu-system-x86_64 (Debian: qemu-system-x86)"),
        ("tun", "no /dev/net/tun"),
        ("mirror", "no Debian mirror"),
    ],
)
def test_what_a_host_lacks_is_said_and_no_failure(
    lacks: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = command.host
    monkeypatch.undo()
    for name in ("box", "inside"):
        monkeypatch.setattr(command, name, lambda *_: pytest.fail("started all the same"))
    monkeypatch.setattr(host, "root", lambda: said if lacks == "root" else None)
    monkeypatch.setattr(host.shutil, "which", lambda name: None if name == lacks else name)
    monkeypatch.setattr(host, "tun", lambda: said if lacks == "tun" else None)
    monkeypatch.setattr(host, "mirror", lambda _: said if lacks == "mirror" else None)
    assert command.main([]) == 0
    assert capsys.readouterr().out == f"skipped: host has {said}\n"


def test_a_mirror_is_wanted_for_what_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = command.host
    monkeypatch.undo()
    for name in ("root", "tun"):
        monkeypatch.setattr(host, name, lambda: None)
    monkeypatch.setattr(host, "program", lambda *_: None)
    wanted: list[Path] = []
    monkeypatch.setattr(host, "mirror", wanted.extend)
    for words, places in (
        ([command.BOX], [disk.place()]),
        ([command.BOX, ONE], [disk.place()]),
        ([command.KERNEL], [command.image.place()]),
        ([ONE], [command.image.place()]),
        ([], [disk.place(), command.image.place()]),
    ):
        wanted.clear()
        assert command.missing(words) is None
        assert wanted == places


@pytest.mark.parametrize("asked", [[command.KERNEL], [ONE, "-k", "a b"]])
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
    wanted = list(command.TESTS) if asked == [command.KERNEL] else asked
    assert commands[0][-len(wanted) :] == wanted


@pytest.mark.parametrize(("asked", "status"), [([command.KERNEL], 1), ([ONE], 0)])
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
    assert command.main([command.KERNEL]) == 1
    assert str(error) in capsys.readouterr().err


def test_the_box_has_its_fixture_as_a_plugin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho $* >{tmp_path}/words\n")
    python.chmod(0o755)
    monkeypatch.setattr(command.sys, "executable", str(python))
    assert command.box([]) == 0
    words = (tmp_path / "words").read_text()
    assert f"-p {command.BOX_FIXTURE} " in words
    assert words.endswith(f" {' '.join(command.BOX_TESTS)}\n")
    assert (REPOSITORY / f"{command.BOX_FIXTURE.replace('.', '/')}.py").is_file()


def test_the_tests_it_runs_are_there() -> None:
    files = [each for each in (*command.TESTS, *command.BOX_TESTS) if each.endswith(".py")]
    assert len(files) > 6
    assert [each for each in files if not (REPOSITORY / each).is_file()] == []


def test_the_box_alone_is_the_box_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(command, "box", lambda tests: asked.extend(tests) or 5)
    monkeypatch.setattr(command, "inside", lambda _: pytest.fail("not asked for"))
    assert command.main([command.BOX]) == 5
    assert asked == []
    assert command.main([command.BOX, "one", "-k", "two"]) == 5
    assert asked == ["one", "-k", "two"]


@pytest.mark.parametrize(("box", "kernel", "whole"), [(0, 0, 0), (5, 0, 5), (0, 1, 1), (5, 1, 1)])
def test_nothing_named_is_both_and_each_counts(
    box: int, kernel: int, whole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "box", lambda _: box)
    monkeypatch.setattr(command, "inside", lambda _: kernel)
    assert command.main([]) == whole


@pytest.mark.parametrize(("script", "status"), [("0", 0), ("3", 3)])
def test_the_boxs_status_is_its_tests(
    script: str, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexit {script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(command.sys, "executable", str(python))
    assert command.box([]) == status
