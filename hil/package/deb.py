"""[door] Puts a package together: a tree of files, then dpkg-deb."""

from __future__ import annotations

import email
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.net.process import REPOSITORY
from hil.package import contents, control, environment, manual, recipe, sbom
from sdbox_agent import __version__

if TYPE_CHECKING:
    from hil.package.recipe import Recipe

SCRIPTS: Final = Path(__file__).with_name("scripts")
_LAUNCHER: Final = """\
#!/bin/sh
exec /{library}/bin/python -I -m {module} "$@"
"""
# `bin/python` of a virtual environment is what units name: Debian's interpreter, and of Debian's
# modules python3-gi alone, as in the environment that is tested.
_ENVIRONMENT: Final = "home = /usr/bin\ninclude-system-site-packages = false\n"
_LIBRARY: Final = re.compile(r"\.so(?:\.[\d.]+)?$")


class Failed(Exception):  # noqa: N818  told with what the program said
    """A program that a package is made with did not do its part."""


@dataclass(frozen=True, slots=True)
class Built:
    """A package."""

    path: Path
    version: control.Version
    took_s: float


def version_here() -> control.Version:
    """Of what is checked out."""
    return control.version(
        __version__,
        _git("rev-parse", "--short=10", "HEAD"),
        int(_git("log", "-1", "--format=%ct")),
        released=f"v{__version__}" in _git("tag", "--points-at", "HEAD").split(),
        clean=not _git("status", "--porcelain"),
    )


def build(into: Path, compression: str = "xz", one: Recipe = recipe.AGENT) -> Built:
    """Make a package in directory `into`. `compression`: dpkg-deb's word.

    Raises Failed, environment.NoWheels, contents.Unplaced.
    """
    start_s = time.monotonic()
    of = version_here()
    work = into / "work"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "tree"
    tree.mkdir(parents=True)
    for file in one.placed():
        _copy(REPOSITORY / file.source, tree / file.at)
        if file.source.name.endswith(".so"):
            environment.strip(tree / file.at)
    for at, text in one.written().items():
        _write(tree / at, text.encode())
    _interpreter(one, tree, environment.locked(one.wheels, work / "environment"))
    _words(one, tree, of)
    architecture = _said("dpkg", "--print-architecture").strip()
    linked = _linked(one.name, tree, work / "shlibs")
    _control(one, tree, control.control(one.words, of, architecture, linked, _installed_kib(tree)))
    _settle(one, tree, of.epoch_s)
    path = into / f"{one.name}_{of.number}_{architecture}.deb"
    _pack(tree, path, of.epoch_s, compression)
    shutil.rmtree(work)
    return Built(path, of, time.monotonic() - start_s)


def _interpreter(one: Recipe, tree: Path, site: Path) -> None:
    library = tree / one.library
    there = library / environment.SITE
    environment.bare(site, there)
    (library / "pyvenv.cfg").write_text(_ENVIRONMENT)
    (library / "bin").mkdir()
    (library / "bin/python").symlink_to("../../../bin/python3")
    if one.gi:
        (there / "gi").symlink_to("../../../../python3/dist-packages/gi")
    (there / "sdbox.pth").write_text("../../..\n")
    launcher = _LAUNCHER.format(library=one.library, module=one.module)
    _write(tree / "usr/bin" / one.name, launcher.encode())


def _words(one: Recipe, tree: Path, of: control.Version) -> None:
    """Manual, completions, bill of materials, changelogs, copyright."""
    name, parser = one.name, one.parser()
    text = manual.page(parser, one.words.what, one.words.manual_tail, of.epoch_s, of.number)
    _write(tree / f"usr/share/man/man1/{name}.1.gz", _gzip(text))
    shells = {
        f"usr/share/bash-completion/completions/{name}": manual.completion(parser, "bash"),
        f"usr/share/zsh/vendor-completions/_{name}": manual.completion(parser, "zsh"),
    }
    for at, words in shells.items():
        _write(tree / at, words.encode())
    papers = tree / contents.documents(name)
    bill = sbom.settled(environment.bill(one.wheels), name, of.number, of.epoch_s)
    _write(papers / "sbom.cdx.json", bill)
    _write(papers / "changelog.gz", _gzip(control.changelog(name, of)))
    _write(papers / "CHANGELOG.md.gz", _gzip((REPOSITORY / "CHANGELOG.md").read_text()))
    overrides = (SCRIPTS / "lintian-overrides").read_text().replace("@NAME@", name)
    _write(tree / f"usr/share/lintian/overrides/{name}", overrides.encode())
    year = time.gmtime(of.epoch_s).tm_year
    licences = _licences(tree / one.library / environment.SITE)
    _write(papers / "copyright", control.copyright_of(name, year, licences).encode())


def _licences(site: Path) -> list[tuple[str, str, str]]:
    """Name, version and licence of each wheel, as it says itself."""
    found = []
    for path in sorted(site.glob("*.dist-info/METADATA")):
        said = email.message_from_bytes(path.read_bytes())
        classified = [
            line.rsplit(" :: ", 1)[1]
            for line in said.get_all("Classifier", [])
            if line.startswith("License :: OSI Approved :: ")
        ]
        own = (said["License"] or "").split("\n")[0]
        licence = said["License-Expression"] or ", ".join(classified) or own
        found.append((str(said["Name"]), str(said["Version"]), licence))
    return found


def _linked(name: str, tree: Path, scratch: Path) -> str:
    """Debian's packages that the libraries in the tree are linked with."""
    (scratch / "debian").mkdir(parents=True)
    (scratch / "debian/control").write_text(
        f"Source: {name}\n\nPackage: {name}\nArchitecture: any\n"
    )
    libraries = sorted(str(path) for path in tree.rglob("*") if _LIBRARY.search(path.name))
    found = _said(
        *("dpkg-shlibdeps", "-O", "--ignore-missing-info", "--warnings=0"),
        *(f"-l{folder}" for folder in sorted(tree.rglob("*.libs"))),
        *libraries,
        cwd=scratch,
    )
    return found.strip().partition("=")[2]


def _installed_kib(tree: Path) -> int:
    """As Debian's policy counts it (5.6.20): each file rounded up, one for any other entry."""
    return sum(
        -(-path.lstat().st_size // 1024) if path.is_file() and not path.is_symlink() else 1
        for path in tree.rglob("*")
    )


def _control(one: Recipe, tree: Path, text: str) -> None:
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    sums = "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n"  # dpkg's own
        for path in files
    )
    units = {
        path.name: path.read_text()
        for path in sorted((tree / contents.UNITS).iterdir())
        if path.is_file()
    }
    texts = {path.suffix[1:]: path.read_text() for path in SCRIPTS.glob(f"{one.scripts}.*")}
    (users,) = (tree / "usr/lib/sysusers.d").iterdir()
    _write(tree / "DEBIAN/control", text.encode())
    _write(tree / "DEBIAN/md5sums", sums.encode())
    for name, script in control.scripts(texts, units, users.read_text()).items():
        _write(tree / "DEBIAN" / name, script.encode())


def _settle(one: Recipe, tree: Path, epoch_s: int) -> None:
    """The same modes and times, whatever the umask and the clock."""
    runs = {"DEBIAN/postinst", "DEBIAN/prerm", "DEBIAN/postrm", f"usr/bin/{one.name}"}
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            name = path.relative_to(tree).as_posix()
            path.chmod(0o755 if path.is_dir() or name in runs else 0o644)
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)


def _pack(tree: Path, path: Path, epoch_s: int, compression: str) -> None:
    subprocess.run(
        [
            *("dpkg-deb", "--root-owner-group", "--threads-max=1", f"-Z{compression}"),
            *("--build", str(tree), str(path)),
        ],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch_s), "LC_ALL": "C"},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _gzip(text: str) -> bytes:
    return gzip.compress(text.encode(), 9, mtime=0)


def _git(*arguments: str) -> str:
    return _said("git", "-c", f"safe.directory={REPOSITORY}", *arguments, cwd=REPOSITORY).strip()


def _said(*argv: str, cwd: Path | None = None) -> str:
    quiet = {**os.environ, "LC_ALL": "C"}
    ran = subprocess.run(argv, cwd=cwd, env=quiet, capture_output=True, check=False, text=True)
    if ran.returncode:
        raise Failed(f"{argv[0]}: {ran.stderr.strip()}")
    return ran.stdout
