"""The trial's own eyes: what it would miss, the package could do. `make hil-deb` runs it."""

import subprocess
from pathlib import Path

import pytest

from hil.package import trial


def _tree(root: Path) -> Path:
    for name in ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "usr/bin/x", "proc/1/y"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("root:x:0\n")
    return root


@pytest.mark.parametrize(
    "left", ["etc/sdbox", "usr/lib/python3/x.pyc", "run/sdbox/y", "var/lib/sdbox/z"]
)
def test_what_is_left_behind_is_seen(left: str, tmp_path: Path) -> None:
    before = trial.files(_tree(tmp_path))
    (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / left).write_text("")
    assert left in trial.files(tmp_path) - before


def test_what_dpkg_keeps_for_itself_is_not(tmp_path: Path) -> None:
    before = trial.files(_tree(tmp_path))
    for name in ("var/lib/dpkg/info/x.list", "var/log/dpkg.log", "etc/passwd-", "tmp/one.deb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert trial.files(tmp_path) - before <= {"var", "var/lib", "var/lib/dpkg", "var/log", "tmp"}
    assert not [name for name in trial.files(tmp_path) if name.startswith("proc/")]


def test_a_user_who_stays_is_seen(tmp_path: Path) -> None:
    knew = trial.accounts(_tree(tmp_path))
    with (tmp_path / "etc/passwd").open("a") as file:
        file.write("sdbox:x:61001:61001::/:/usr/sbin/nologin\n")
    assert trial.accounts(tmp_path) != knew


def test_a_statement_that_does_not_hold_ends_it() -> None:
    with pytest.raises(trial.Broken, match="as seen"):
        trial.same(1 + 1 == 3, "as seen")


def test_a_newer_package_differs_by_its_version_alone(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m <m@sdbox.example>\n"
        "Description: d\n"
    )
    (tree / "usr").mkdir()
    (tree / "usr/x").write_text("x")
    one, two = tmp_path / "1.deb", tmp_path / "2.deb"
    words = ["dpkg-deb", "--root-owner-group", "-Znone", "-b"]
    subprocess.run([*words, tree, one], check=True)
    trial.newer(one, two)
    fields = ["dpkg-deb", "-f"]
    said = [subprocess.check_output([*fields, deb], text=True) for deb in (one, two)]
    assert said[1] == said[0].replace("Version: 1", f"Version: 1{trial.UPGRADED}")
    assert b"./usr/x" in subprocess.check_output(["dpkg-deb", "-c", two])


def test_a_host_that_can_not_says_so_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trial.os, "geteuid", lambda: 0)
    monkeypatch.setattr(trial.shutil, "which", lambda _: None)
    assert trial.main() == 0
    assert capsys.readouterr().out == "skipped: host has no mmdebstrap\n"
