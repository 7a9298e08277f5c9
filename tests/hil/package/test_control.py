"""What dpkg is told."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from hil.package import control
from tests.hil.package.test_contents import CENTRE_AT, ROOT, UNITS

SCRIPTS = ROOT / "hil/package/scripts"
USERS = {
    "agent": (ROOT / "systemd/sdbox.sysusers").read_text(),
    "centre": (ROOT / "systemd/centre/sdbox-centre.sysusers").read_text(),
}
CENTRES = {
    Path(at).name: (ROOT / source).read_text()
    for at, source in CENTRE_AT.items()
    if at.endswith(".service")
}
CENTRE = control.scripts(
    {path.suffix[1:]: path.read_text() for path in SCRIPTS.glob("centre.*")},
    CENTRES,
    USERS["centre"],
)
FILLED = control.scripts(
    {path.suffix[1:]: path.read_text() for path in SCRIPTS.glob("agent.*")},
    UNITS,
    USERS["agent"],
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
    text = control.control(control.AGENT, of, "amd64", "libc6 (>= 2.36), libudev1", 7)
    fields = dict(re.findall(r"^(\S+): (.*)$", text, re.MULTILINE))
    assert fields["Version"] == "0.1.0"
    depends = fields["Depends"].split(", ")
    assert depends == sorted(set(depends))
    assert {"libc6 (>= 2.36)", "python3-gi", "python3 (<< 3.12)"} <= set(depends)


def test_what_is_never_on_a_box_is_not_asked_for() -> None:
    text = control.control(control.AGENT, control.Version("1", 0), "amd64", "", 1)
    assert "vpcd" not in text
    assert "fprintd" not in text


def test_a_centre_asks_for_no_reader_and_is_no_box() -> None:
    text = control.control(control.CENTRE, control.Version("1", 0), "amd64", "libc6 (>= 2.36)", 1)
    fields = dict(re.findall(r"^(\S+): (.*)$", text, re.MULTILINE))
    assert fields["Package"] == "sdbox-centre"
    assert fields["Conflicts"] == "sdbox-agent"
    names = {one.split(" ")[0] for one in fields["Depends"].split(", ")}
    assert {"wireguard-go", "libc6", "python3"} <= names
    assert not names & {"pcscd", "gir1.2-fprint-2.0", "nftables", "libtss2-tcti-device0"}
    assert "pcscd" in fields["Suggests"]


@pytest.mark.parametrize("filled", [FILLED, CENTRE], ids=["agent", "centre"])
@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_script_is_whole(filled: dict[str, str], script: str, tmp_path: Path) -> None:
    text = filled[script]
    assert not re.search(r"@[A-Z]+@", text)
    (tmp_path / script).write_text(text)
    subprocess.run(["sh", "-n", tmp_path / script], check=True)
    assert text.startswith("#!/bin/sh\n")
    assert "set -e" in text.splitlines()


def _list(script: str, before: str, filled: dict[str, str] = FILLED) -> list[str]:
    found = re.search(rf"{before} (.+?)(?:; do| \|\||$)", filled[script], re.MULTILINE)
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


@pytest.mark.parametrize(("whose", "filled"), [("agent", FILLED), ("centre", CENTRE)])
def test_a_purge_takes_every_user_and_group_that_is_made(
    whose: str, filled: dict[str, str]
) -> None:
    made = re.findall(r"^([ug])\s+(\S+)", USERS[whose], re.MULTILINE)
    assert len(made) > 3
    users = {name for kind, name in made if kind == "u"}
    assert set(_list("postrm", "for user in", filled)) == users
    assert set(_list("postrm", "for group in", filled)) == {name for _, name in made}


def test_an_upgrade_of_a_centre_ends_no_tunnel() -> None:
    stopping = [line for line in CENTRE["prerm"].splitlines() if "invoke" in line]
    assert len(stopping) == 1
    assert 'if [ "$1" = remove ]' in CENTRE["prerm"]
    assert set(stopping[0].split("stop ")[1].removesuffix(" || true").split()) == set(CENTRES)
    acts = dict(re.findall(r"invoke (\S+) (.+) \|\|", CENTRE["postinst"]))
    assert acts["try-reload-or-restart"] == "sdbox-centre-gateway.service"
    assert "gateway" not in acts["try-restart"]
    assert "ExecReload=" in CENTRES["sdbox-centre-gateway.service"], "or it would be restarted"
    assert set(acts) == {"try-reload-or-restart", "try-restart"}, "nothing starts that did not run"


def test_a_purge_of_a_box_takes_nothing_of_a_centre() -> None:
    """One machine may have been the one and be the other."""
    for line in FILLED["postrm"].splitlines():
        if re.search(r"(?<!stamp-)sdbox-\*", line):
            assert re.search(r"! -l?name '\S*sdbox-centre", line), line


def test_the_changelog_bears_the_version_and_its_time() -> None:
    text = control.changelog("sdbox-agent", control.Version("0.1.0~git1", 0))
    assert text.startswith("sdbox-agent (0.1.0~git1) bookworm; ")
    assert text.endswith("  Thu, 01 Jan 1970 00:00:00 +0000\n")


def test_copyright_names_each_wheel_and_its_licence() -> None:
    text = control.copyright_of(
        "sdbox-agent", 2026, [("b", "2", "MIT"), ("a", "1", "BSD-3-Clause")]
    )
    assert text.index("  a 1: BSD-3-Clause\n") < text.index("  b 2: MIT\n")
