"""[door] The wheels a package brings: what uv.lock names, by hash, for Debian's own interpreter.

Taken from uv's cache; from the index only what is not there, and uv says what it could not get.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path, PurePosixPath
from typing import Final

from hil.net.process import REPOSITORY

UV: Final = REPOSITORY / ".boot/bin/uv"
PYTHON: Final = Path("/usr/bin/python3")
SITE: Final = PurePosixPath("lib/python3.11/site-packages")

# Of a wheel, what runs nowhere on a box: its own tests, what other programs are compiled with, and
# the installer's notes (dpkg knows the files; the notes differ from one machine to another).
_DROPPED: Final = re.compile(
    r"""(?:^|/)__pycache__/
      | (?:^|/)tests?/
      | /_\w*test(?:s|capi)\.cpython[^/]+$
      | \.(?:pyi|pyx|pxd|pyc|c|h|a|lib|f|f90)$
      | ^(?:numpy/f2py|numpy/_core/include|numpy/random/_examples|pyroute2/cli)/
      | \.dist-info/(?:RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_\w+\.json|top_level\.txt)$
      | ^(?:_virtualenv\.(?:py|pth)|a1_coverage\.pth)$
    """,
    re.VERBOSE,
)

# An ELF note (gABI, "Note Section"): sizes of name and description, type NT_GNU_BUILD_ID, name.
_BUILD_ID_BYTES: Final = 20  # as GNU ld makes it
_BUILD_ID: Final = struct.pack("<III4s", 4, _BUILD_ID_BYTES, 3, b"GNU\0")


class NoWheels(Exception):  # noqa: N818  told with what is lacking
    """uv did not bring the environment together."""


def locked(only: str | None, into: Path) -> Path:
    """A virtual environment of the agent's dependencies, or of one group's; its site-packages.

    Raises NoWheels with uv's own words: what it lacks.
    """
    command = ["sync", "--quiet", "--frozen", *_chosen(only)]
    _uv(*command, "--link-mode", "copy", "--python", str(PYTHON), environment=into)
    return into / SITE


def bill(only: str | None) -> bytes:
    """The same as CycloneDX, as uv writes it. Raises NoWheels."""
    command = ["export", "--quiet", "--frozen", *_chosen(only)]
    return _uv(*command, "--format", "cyclonedx1.5", "--preview-features", "sbom-export")


def _chosen(only: str | None) -> tuple[str, ...]:
    return ("--no-default-groups",) if only is None else ("--only-group", only)


def bare(site: Path, into: Path) -> None:
    """What of a site-packages a package has, stripped of all that tells where it was compiled."""
    compiled = compiled_here(site)
    for source in sorted(path for path in site.rglob("*") if path.is_file()):
        name = source.relative_to(site).as_posix()
        if is_dropped(name):
            continue
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        if name in compiled:
            strip(target)


def is_dropped(name: str) -> bool:
    """Is this file of a site-packages left out?"""
    return _DROPPED.search(name) is not None


def compiled_here(site: Path) -> set[str]:
    """The libraries in a site-packages that came as source: tagged a bare "linux"."""
    names = set()
    for wheel in site.glob("*.dist-info/WHEEL"):
        if re.search(r"^Tag: \S+-linux_\w+$", wheel.read_text(), re.MULTILINE):
            with wheel.with_name("RECORD").open(newline="") as record:
                names |= {row[0] for row in csv.reader(record) if row[0].endswith(".so")}
    return names


def strip(library: Path) -> None:
    """Without debug sections; the build id is made anew of what is left, not of its place."""
    # The section itself must stay: to remove it makes strip drop the RELRO segment, too.
    subprocess.run(["strip", "--strip-unneeded", library], check=True)
    data = library.read_bytes()
    head, note, tail = data.partition(_BUILD_ID)
    if note:
        rest = tail[_BUILD_ID_BYTES:]
        digest = hashlib.sha256(head + note + rest).digest()[:_BUILD_ID_BYTES]
        library.write_bytes(head + note + digest + rest)


def _uv(*arguments: str, environment: Path | None = None) -> bytes:
    if not UV.exists():
        raise NoWheels("no uv: `make setup` brings it")
    told = {} if environment is None else {"UV_PROJECT_ENVIRONMENT": str(environment)}
    ran = subprocess.run(
        [UV, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never", **told},
        capture_output=True,
        check=False,
    )
    if ran.returncode:
        raise NoWheels(ran.stderr.decode(errors="replace").strip())
    return ran.stdout
