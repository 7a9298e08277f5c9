"""The trial's own eyes: what they miss, a package could do. `make hil-deb` looks with them."""

import subprocess
from pathlib import Path

import pytest

from hil.package import clean


def _tree(root: Path) -> Path:
    for name in ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "usr/bin/x", "proc/1/y"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("root:x:0\n")
    return root


@pytest.mark.parametrize(
    "left", ["etc/sdbox", "usr/lib/python3/x.pyc", "run/sdbox/y", "var/lib/sdbox/z"]
)
def test_what_is_left_behind_is_seen(left: str, tmp_path: Path) -> None:
    before = clean.files(_tree(tmp_path))
    (tmp_path / left).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / left).write_text("")
    assert left in clean.files(tmp_path) - before


def test_what_dpkg_keeps_for_itself_is_not(tmp_path: Path) -> None:
    before = clean.files(_tree(tmp_path))
    for name in ("var/lib/dpkg/info/x.list", "var/log/dpkg.log", "etc/passwd-", "tmp/one.deb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert clean.files(tmp_path) - before <= {"var", "var/lib", "var/lib/dpkg", "var/log", "tmp"}
    assert not [name for name in clean.files(tmp_path) if name.startswith("proc/")]


def test_a_user_who_stays_is_seen(tmp_path: Path) -> None:
    knew = clean.accounts(_tree(tmp_path))
    with (tmp_path / "etc/passwd").open("a") as file:
        file.write("sdbox:x:61001:61001::/:/usr/sbin/nologin\n")
    assert clean.accounts(tmp_path) != knew


def test_a_statement_that_does_not_hold_ends_it() -> None:
    with pytest.raises(clean.Broken, match="as seen"):
        clean.same(1 + 1 == 3, "as seen")


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
    clean.newer(one, two)
    fields = ["dpkg-deb", "-f"]
    said = [subprocess.check_output([*fields, deb], text=True) for deb in (one, two)]
    assert said[1] == said[0].replace("Version: 1", f"Version: 1{clean.UPGRADED}")
    assert b"./usr/x" in subprocess.check_output(["dpkg-deb", "-c", two])


def _package(at: Path, name: str, depends: str) -> Path:
    tree = at / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: m <m@sdbox.example>\n"
        f"Depends: {depends}\nDescription: d\n"
    )
    path = at / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, path], check=True)
    return path


def test_each_package_has_a_debian_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What one depends on must not hide what the other has forgotten to name."""
    asked: list[str] = []

    def made(*argv: str) -> None:
        asked.append(next(word for word in argv if word.startswith("--include=")))
        (Path(argv[-1]) / "usr/sbin").mkdir(parents=True)

    monkeypatch.setattr(clean, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(clean, "child", made)
    packages = [
        _package(tmp_path, "sdbox-agent", "pcscd, libtss2-rc0 (>= 3.0.1), python3 (<< 3.12)"),
        _package(tmp_path, "sdbox-centre", "python3 (>= 3.11), python3 (<< 3.12), systemd"),
    ]
    roots = [clean.clean_root(one) for one in (*packages, *packages)]
    assert roots[:2] == roots[2:]
    assert len(set(roots)) == 2
    assert asked == ["--include=libtss2-rc0,pcscd,python3", "--include=python3,systemd"], "kept"
    for root in roots:
        assert (root / clean.POLICY).stat().st_mode & 0o111
