"""What dpkg is told."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from hil.package import control
from tests.hil.package.test_contents import ROOT, UNITS

SCRIPTS = ROOT / "hil/package/scripts"
FILLED = control.scripts(
    {path.suffix[1:]: path.read_text() for path in SCRIPTS.glob("agent.*")},
    UNITS,
    (ROOT / "systemd/sdbox.sysusers").read_text(),
)


def _version(commit: str, epoch_s: int, *, released: bool = False, clean: bool = True) -> str:
    return control.version("0.1.0", commit, epoch_s, released=released, clean=clean).number


def test_a_later_commit_is_a_later_version_and_the_release_the_last() -> None:
    numbers = [
        _version("ffffffffff", 1_700_000_000),
        _version("0000000000", 1_700_000_001),
        _version("0000000000", 1_700_000_001, clean=False),
        _version("aaaaaaaaaa", 1_800_000_000, released=True),
    ]
    assert numbers[3] == "0.1.0"
    for earlier, later in pairwise(numbers):
        subprocess.run(["dpkg", "--compare-versions", earlier, "lt", later], check=True)


def test_a_released_tree_that_was_changed_is_no_release() -> None:
    assert _version("abc", 1_700_000_000, released=True, clean=False).endswith(".abc.dirty")


def test_the_control_file_names_each_dependency_once() -> None:
    of = control.Version("0.1.0", 0)
    text = control.control(of, "amd64", "libc6 (>= 2.36), libudev1", 7)
    fields = dict(re.findall(r"^(\S+): (.*)$", text, re.MULTILINE))
    assert fields["Version"] == "0.1.0"
    depends = fields["Depends"].split(", ")
    assert depends == sorted(set(depends))
    assert {"libc6 (>= 2.36)", "python3-gi", "python3 (<< 3.12)"} <= set(depends)


def test_what_is_never_on_a_box_is_not_asked_for() -> None:
    text = control.control(control.Version("1", 0), "amd64", "", 1)
    assert "vpcd" not in text
    assert "fprintd" not in text


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_script_is_whole(script: str, tmp_path: Path) -> None:
    text = FILLED[script]
    assert not re.search(r"@[A-Z]+@", text)
    (tmp_path / script).write_text(text)
    subprocess.run(["sh", "-n", tmp_path / script], check=True)
    assert text.startswith("#!/bin/sh\n")
    assert "set -e" in text.splitlines()


def _list(script: str, before: str) -> list[str]:
    found = re.search(rf"{before} (.+?)(?:; do| \|\||$)", FILLED[script], re.MULTILINE)
    assert found
    return found[1].split()


def test_no_session_lives_while_files_are_exchanged_and_the_walls_do() -> None:
    lines = [line.strip() for line in FILLED["prerm"].splitlines() if "invoke stop" in line]
    assert "sdbox-agent.service" in lines[0], "the core first: it takes the tunnel down"
    stopped = lines[1]
    for unit in ("sdbox-card.service", "sdbox-tunnel.service", "'sdbox-finger@*.service'"):
        assert unit in stopped
    assert "walls" not in stopped
    assert stopped.index(".socket") < stopped.index(".service"), "or they start what was stopped"
    assert "sdbox-walls.service" in lines[2]


def test_an_upgrade_starts_what_was_enabled_and_no_template() -> None:
    started = _list("postinst", r"for unit in(?= sdbox-(?!walls))")
    assert "sdbox-agent.service" in started
    assert not [unit for unit in started if "@" in unit]
    assert all("[Install]" in UNITS[unit] for unit in started)


def test_a_purge_takes_every_user_and_group_that_is_made() -> None:
    made = re.findall(
        r"^([ug])\s+(\S+)", (ROOT / "systemd/sdbox.sysusers").read_text(), re.MULTILINE
    )
    assert set(_list("postrm", "for user in")) == {name for kind, name in made if kind == "u"}
    assert set(_list("postrm", "for group in")) == {name for _, name in made}


def test_the_changelog_bears_the_version_and_its_time() -> None:
    text = control.changelog(control.Version("0.1.0~git1", 0))
    assert text.startswith("sdbox-agent (0.1.0~git1) bookworm; ")
    assert text.endswith("  Thu, 01 Jan 1970 00:00:00 +0000\n")


def test_copyright_names_each_wheel_and_its_licence() -> None:
    text = control.copyright_of(2026, [("b", "2", "MIT"), ("a", "1", "BSD-3-Clause")])
    assert text.index("  a 1: BSD-3-Clause\n") < text.index("  b 2: MIT\n")
