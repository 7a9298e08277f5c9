"""The package itself: twice the same, and nothing in it that is not a box's."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil.package import deb, environment

ROOT = Path(__file__).parents[3]
# A machine as unlike the first as one setting each can make it.
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "LANGUAGE": "fr", "COLUMNS": "40"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not environment.UV.exists(), reason="no uv: `make setup` brings it"),
]


@dataclass(frozen=True)
class Package:
    path: Path
    members: dict[str, tarfile.TarInfo]

    def read(self, name: str) -> bytes:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", self.path], stdout=subprocess.PIPE
        ) as unpacking:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar:
                for member in tar:
                    if member.name == f"./{name}":
                        file = tar.extractfile(member)
                        assert file
                        data = file.read()
                        break
                else:
                    raise KeyError(name)
            unpacking.kill()
        return data


def _build(into: Path, umask: int, environ: dict[str, str]) -> Path:
    command = [sys.executable, "-m", "hil.package", "--compression", "none", "--into", str(into)]
    subprocess.run(
        command, cwd=ROOT, check=True, umask=umask, env={**os.environ, **environ}, timeout=900
    )
    (made,) = into.glob("*.deb")
    return made


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    path = _build(tmp_path_factory.mktemp("one"), 0o022, {"TZ": "UTC", "LC_ALL": "C"})
    listing = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE)
    with listing, tarfile.open(fileobj=listing.stdout, mode="r|") as tar:
        members = {member.name.removeprefix("./").rstrip("/"): member for member in tar}
    yield Package(path, members)
    path.unlink()


def test_another_directory_umask_time_zone_and_language_make_the_same_bytes(
    package: Package, tmp_path: Path
) -> None:
    other = _build(tmp_path / "a longer way/to another", 0o077, ELSEWHERE)
    assert other.name == package.path.name
    one, two = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (package.path, other))
    assert one == two


def test_neither_desk_nor_rig_nor_centre_is_in_it(package: Package) -> None:
    ours = [name for name in package.members if "site-packages" not in name]
    assert not [
        name
        for name in ours
        if re.search(r"hil\b|tests?\b|sdbox_centre|finger(tool|command)|scripted|desk", name)
    ]
    wheels = {
        name.split("site-packages/")[1].split("/")[0]
        for name in package.members
        if "site-packages/" in name
    }
    assert {"cryptography", "smartcard", "systemd", "numpy", "gi"} <= wheels
    assert not wheels & {"pytest", "_pytest", "fastapi", "sqlalchemy", "PIL", "hypothesis", "shtab"}


def test_everything_is_roots_of_one_time_and_writable_by_nobody_else(package: Package) -> None:
    times = {member.mtime for member in package.members.values()}
    assert times == {deb.version_here().epoch_s}
    for name, member in package.members.items():
        assert (member.uid, member.gid) == (0, 0), name
        wanted = 0o755 if member.isdir() or name == "usr/bin/sdbox-agent" else 0o644
        assert member.issym() or member.mode == wanted, (name, oct(member.mode))


def test_it_brings_nothing_into_etc_or_var(package: Package) -> None:
    """Settings and state are never the package's: an upgrade overwrites nothing."""
    assert {name.split("/")[0] for name in package.members} == {".", "lib", "usr"}


def test_it_says_nothing_of_the_machine_it_was_built_on(package: Package) -> None:
    needle = str(ROOT).encode()
    whole = package.path.read_bytes()  # not compressed
    assert needle not in whole
    assert b".cache/uv" not in whole


def test_its_interpreter_is_debians_and_of_its_modules_gi_alone(package: Package) -> None:
    members = package.members
    assert members["usr/lib/sdbox-agent/bin/python"].linkname == "../../../bin/python3"
    links = {
        name.split("/")[-1]: member.linkname
        for name, member in members.items()
        if member.issym() and "site-packages" in name
    }
    assert links == {"gi": "../../../../python3/dist-packages/gi"}
    settings = package.read("usr/lib/sdbox-agent/pyvenv.cfg").decode()
    assert "include-system-site-packages = false" in settings


def test_manual_completions_and_bill_of_materials_come_with_it(package: Package) -> None:
    for name in (
        "usr/share/man/man1/sdbox-agent.1.gz",
        "usr/share/bash-completion/completions/sdbox-agent",
        "usr/share/zsh/vendor-completions/_sdbox-agent",
        "usr/share/doc/sdbox-agent/sbom.cdx.json",
        "usr/share/doc/sdbox-agent/copyright",
    ):
        assert package.members[name].size > 500, name
    completion = package.read("usr/share/bash-completion/completions/sdbox-agent")
    assert b"network-sheet" in completion
    assert b"extract" not in completion, "the desk's"
