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

from hil.package import deb, environment, recipe
from hil.package.recipe import Recipe

ROOT = Path(__file__).parents[3]
# A machine as unlike the first as one setting each can make it.
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "LANGUAGE": "fr", "COLUMNS": "40"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not environment.UV.exists(), reason="no uv: `make setup` brings it"),
]


@dataclass(frozen=True)
class Package:
    one: Recipe
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


def _build(one: Recipe, into: Path, umask: int, environ: dict[str, str]) -> Path:
    command = [
        *(sys.executable, "-m", "hil.package", "--only", one.name),
        *("--compression", "none", "--into", str(into)),
    ]
    subprocess.run(
        command, cwd=ROOT, check=True, umask=umask, env={**os.environ, **environ}, timeout=900
    )
    (made,) = into.glob("*.deb")
    return made


@pytest.fixture(scope="module", params=recipe.EVERY, ids=lambda one: one.name)
def package(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Package]:
    one: Recipe = request.param
    path = _build(one, tmp_path_factory.mktemp("one"), 0o022, {"TZ": "UTC", "LC_ALL": "C"})
    listing = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE)
    with listing, tarfile.open(fileobj=listing.stdout, mode="r|") as tar:
        members = {member.name.removeprefix("./").rstrip("/"): member for member in tar}
    yield Package(one, path, members)
    path.unlink()


def test_another_directory_umask_time_zone_and_language_make_the_same_bytes(
    package: Package, tmp_path: Path
) -> None:
    other = _build(package.one, tmp_path / "a longer way/to another", 0o077, ELSEWHERE)
    assert other.name == package.path.name
    one, two = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (package.path, other))
    assert one == two


# What each must not have, of ours and of others', and what it has of others'.
NOT_OURS = {
    "sdbox-agent": r"hil\b|tests?\b|sdbox_centre|sdbox-centre|finger(tool|command)|scripted|desk",
    "sdbox-centre": r"hil\b|tests?\b|desk|personalise|sealing|issuercard|cardobjects|cardorder"
    r"|matchbound|biometrics|sensor/|session/|workers|daemon|firmware_profiles|udev|sdbox-agent",
}
WHEELS = {
    "sdbox-agent": {"cryptography", "smartcard", "systemd", "numpy", "gi"},
    "sdbox-centre": {"cryptography", "smartcard", "fastapi", "sqlalchemy", "uvicorn", "psycopg"},
}
NO_WHEELS = {
    "sdbox-agent": {"fastapi", "sqlalchemy"},
    "sdbox-centre": {"numpy", "systemd", "gi", "tpm2_pytss", "pkcs11", "httpx", "pyudev"},
}
NOBODYS = {"pytest", "_pytest", "PIL", "hypothesis", "shtab"}


def test_neither_desk_nor_rig_nor_the_other_side_is_in_it(package: Package) -> None:
    name = package.one.name
    ours = [member for member in package.members if "site-packages" not in member]
    assert not [member for member in ours if re.search(NOT_OURS[name], member)]
    wheels = {
        name.split("site-packages/")[1].split("/")[0]
        for name in package.members
        if "site-packages/" in name
    }
    assert WHEELS[name] <= wheels
    assert not wheels & (NO_WHEELS[name] | NOBODYS)


def test_everything_is_roots_of_one_time_and_writable_by_nobody_else(package: Package) -> None:
    times = {member.mtime for member in package.members.values()}
    assert times == {deb.version_here().epoch_s}
    for name, member in package.members.items():
        assert (member.uid, member.gid) == (0, 0), name
        wanted = 0o755 if member.isdir() or name == f"usr/bin/{package.one.name}" else 0o644
        assert member.issym() or member.mode == wanted, (name, oct(member.mode))


def test_it_brings_nothing_into_etc_or_var(package: Package) -> None:
    """Settings and state are never the package's: an upgrade overwrites nothing."""
    assert {name.split("/")[0] for name in package.members} == {".", "lib", "usr"}


def test_it_says_nothing_of_the_machine_it_was_built_on(package: Package) -> None:
    needle = str(ROOT).encode()
    whole = package.path.read_bytes()  # not compressed
    assert needle not in whole
    assert b".cache/uv" not in whole


def test_its_interpreter_is_debians_and_of_its_modules_a_boxs_gi_alone(package: Package) -> None:
    members, library = package.members, package.one.library
    assert members[f"{library}/bin/python"].linkname == "../../../bin/python3"
    links = {
        name.split("/")[-1]: member.linkname
        for name, member in members.items()
        if member.issym() and "site-packages" in name
    }
    assert links == ({"gi": "../../../../python3/dist-packages/gi"} if package.one.gi else {})
    settings = package.read(f"{library}/pyvenv.cfg").decode()
    assert "include-system-site-packages = false" in settings
    launcher = package.read(f"usr/bin/{package.one.name}").decode()
    assert launcher.endswith(f'exec /{library}/bin/python -I -m {package.one.module} "$@"\n')


SAYS = {"sdbox-agent": b"network-sheet", "sdbox-centre": b"gateway-check"}


def test_manual_completions_and_bill_of_materials_come_with_it(package: Package) -> None:
    name = package.one.name
    for path in (
        f"usr/share/man/man1/{name}.1.gz",
        f"usr/share/bash-completion/completions/{name}",
        f"usr/share/zsh/vendor-completions/_{name}",
        f"usr/share/doc/{name}/sbom.cdx.json",
        f"usr/share/doc/{name}/copyright",
    ):
        assert package.members[path].size > 500, path
    completion = package.read(f"usr/share/bash-completion/completions/{name}")
    assert SAYS[name] in completion
    assert b"extract" not in completion, "the desk's"


def test_every_file_that_was_written_down_is_in_it(package: Package) -> None:
    wanted = {str(file.at) for file in package.one.placed()} | set(map(str, package.one.written()))
    assert wanted <= set(package.members)
    prefix = f"{package.one.library}/sdbox_"
    assert {name for name, member in package.members.items() if not member.isdir()} & {
        name for name in package.members if name.startswith(prefix)
    } == {name for name in wanted if name.startswith(prefix)}
