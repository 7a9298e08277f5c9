"""The command around the booted tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from hil.boot import __main__ as command
from hil.boot import root
from hil.net.process import REPOSITORY
from hil.vm.image import ChildFailed


def test_a_host_that_can_not_says_so_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_package", lambda: pytest.fail("started all the same"))
    monkeypatch.setattr(command.machine, "missing", lambda: "no root")
    assert command.main([]) == 0
    assert capsys.readouterr().out == "skipped: host has no root\n"


def test_a_mirror_is_asked_for_the_debian_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mirror(kept: list[Path]) -> str:
        assert kept == [root.place()]
        return "no Debian mirror"

    monkeypatch.setattr(command.machine, "missing", lambda: None)
    monkeypatch.setattr(command.host, "mirror", mirror)
    assert command.main([]) == 0
    assert capsys.readouterr().out == "skipped: host has no Debian mirror\n"


def test_every_file_of_booted_tests_is_run_and_the_package_goes_last() -> None:
    there = {str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("tests/boot/test_*.py")}
    assert set(command.TESTS) == there
    assert command.TESTS[-1] == "tests/boot/test_package.py"


def test_a_debian_that_can_not_be_made_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no() -> None:
        raise ChildFailed("mmdebstrap: 1")

    monkeypatch.setattr(command.machine, "missing", lambda: None)
    monkeypatch.setattr(command.host, "mirror", lambda _: None)
    monkeypatch.setenv(command.PACKAGE, "build/x.deb")
    monkeypatch.setattr(command.root, "clean", no)
    assert command.main([]) == 1
    assert capsys.readouterr().err == "hil-boot: mmdebstrap: 1\n"


@pytest.mark.parametrize("rung", ["hil.boot", "hil.vm"])
def test_pytest_starts_after_what_the_command_has_imported(rung: str) -> None:
    """A module that brings a plugin must not be there before it."""
    collect = "pytest.main(['--collect-only', '-q', 'tests/test_paths.py'])"
    code = f"import {rung}.__main__, pytest, sys; sys.exit({collect})"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True)
