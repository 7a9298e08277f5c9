"""sysusers.d and tmpfiles.d, by systemd's own programs, in a root directory of the test's."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from hil.launch import units
from sdbox_agent.paths import Paths

ROOT = Path(__file__).parents[2]
SYSUSERS = ROOT / "systemd/sdbox.sysusers"
TMPFILES = ROOT / "systemd/sdbox.tmpfiles"
SHELL = "/usr/sbin/nologin"
pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-sysusers") or not shutil.which("systemd-tmpfiles"),
    reason="systemd is not installed",
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


def run(*argv: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in argv], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def debian(root: Path) -> Path:
    """What of Debian's accounts ours stand beside."""
    for name, text in (
        ("passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("group", "root:x:0:\n"),
        ("shadow", "root:*:19000::::::\n"),
        ("gshadow", "root:*::\n"),
    ):
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / name).write_text(text)
    return root


def table(path: Path) -> dict[str, list[str]]:
    rows = (line.split(":") for line in path.read_text().splitlines())
    return {name: rest for name, *rest in rows}


def test_systemd_would_make_our_users_and_says_nothing_else(tmp_path: Path) -> None:
    said = run("systemd-sysusers", "--dry-run", f"--root={debian(tmp_path)}", SYSUSERS)
    users = [name for name in units.users(SYSUSERS) if name not in {"root", "sdbox-peers"}]
    for name in users:
        assert re.search(rf"'{name}'.* \(.*{units.users(SYSUSERS)[name]}", said), said
    assert table(tmp_path / "etc/passwd").keys() == {"root"}, "dry"


def test_a_line_it_does_not_understand_is_its_failure(tmp_path: Path) -> None:
    bad = tmp_path / "bad.conf"
    bad.write_text(SYSUSERS.read_text() + "u sdbox-x 61011x\n")
    with pytest.raises(AssertionError, match="61011x"):
        run("systemd-sysusers", "--dry-run", f"--root={debian(tmp_path)}", bad)


@as_root
def test_users_are_as_the_units_name_them_and_nobody_can_log_in(tmp_path: Path) -> None:
    run("systemd-sysusers", f"--root={debian(tmp_path)}", SYSUSERS)
    passwd, groups = table(tmp_path / "etc/passwd"), table(tmp_path / "etc/group")
    for name, number in units.users(SYSUSERS).items():
        if name == "root":
            continue
        assert groups[name][1] == str(number)
        if name != "sdbox-peers":
            _, uid, gid, _, _, shell = passwd[name]
            assert (uid, gid, shell) == (str(number), str(number), SHELL)
    assert groups["sdbox-peers"][2] == "sdbox-prompt"
    before = (tmp_path / "etc/passwd").read_text()
    run("systemd-sysusers", f"--root={tmp_path}", SYSUSERS)
    assert (tmp_path / "etc/passwd").read_text() == before, "a second time changes nothing"


@as_root
def test_directories_are_made_as_they_say(tmp_path: Path) -> None:
    run("systemd-sysusers", f"--root={debian(tmp_path)}", SYSUSERS)
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create", TMPFILES)
    users = units.users(SYSUSERS)
    rows = units.directories(TMPFILES)
    for path, mode, user, group in rows:
        seen = (tmp_path / path.lstrip("/")).lstat()
        assert stat.S_ISDIR(seen.st_mode)
        assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) == (
            mode, users[user], users[group],
        )  # fmt: skip
    box = Paths(Path("/"))
    made = {path for path, *_ in rows}
    assert {str(box.tunnel_socket.parent), str(box.config)} <= made
    own = {str(box.config / name) for name in ("profile.d", "profiles/cards", "profiles/sensors")}
    assert own <= made, "where docs/profiles.md sends the operator"


@as_root
def test_a_key_directory_left_open_is_closed_again(tmp_path: Path) -> None:
    run("systemd-sysusers", f"--root={debian(tmp_path)}", SYSUSERS)
    identity = tmp_path / "etc/sdbox/identity"
    identity.mkdir(parents=True)
    identity.chmod(0o777)
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create", TMPFILES)
    seen = identity.stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid) == (0o700, units.users(SYSUSERS)["sdbox"])
