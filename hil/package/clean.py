"""[door] A clean Debian to try a package in: made once, seen through overlays, judged by its files.

It is minbase with what the package depends on, kept in build/; each trial sees it through an
overlay of its own, in namespaces without a network that go when it ends. policy-rc.d says that
nothing is to be started there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.net import linux
from hil.net.process import REPOSITORY
from hil.vm.image import child

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT: Final = REPOSITORY / "build/deb/root"
SUITE: Final = "bookworm"
POLICY: Final = "usr/sbin/policy-rc.d"
UPGRADED: Final = "+trial1"
# Written by dpkg, by adding users and by systemd's own tools (a mark to read units anew).
NOT_OURS: Final = (
    *("var/lib/dpkg/", "var/log/", "var/cache/"),
    *("run/systemd", "var/lib/systemd/deb-systemd-helper"),
)
NOT_OURS_FILES: Final = frozenset(
    {"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/.pwd.lock"}
)
_ACCOUNTS: Final = ("passwd", "group", "shadow", "gshadow")
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


class Broken(Exception):  # noqa: N818  told with what was seen
    """The package did not do what it should."""


def missing() -> str | None:
    """Why there can be no trial here."""
    if os.geteuid() != 0:
        return "mounting takes root"
    if shutil.which("mmdebstrap") is None:
        return "host has no mmdebstrap"
    return None


def clean_root(package: Path) -> Path:
    """The Debian that is kept for a package, or a new one in its place. Raises ChildFailed."""
    wanted = depends(package)
    digest = hashlib.sha256(" ".join([SUITE, *wanted]).encode()).hexdigest()[:16]
    kept = KEPT / package.name.partition("_")[0] / digest
    if not kept.exists():
        shutil.rmtree(kept.parent, ignore_errors=True)
        making = kept.with_name("making")
        making.mkdir(parents=True)
        child(
            *("unshare", "--mount"),  # what it mounts goes with it, also if it is killed
            *("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(wanted)}"),
            *(SUITE, str(making)),
        )
        policy = making / POLICY
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        making.rename(kept)
    return kept


def depends(package: Path) -> list[str]:
    """The names of what it depends on, those that its libraries are linked with included."""
    words = ["dpkg-deb", "-f", str(package), "Depends"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return sorted({each.split()[0] for each in said.split(",")})


@contextlib.contextmanager
def overlaid(lower: Path) -> Iterator[Path]:
    """A copy of a tree, to be written in: gone with this process, also if it is killed."""
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    with tempfile.TemporaryDirectory(prefix="sdbox-deb-") as made:
        scratch = Path(made)
        linux.mount("tmpfs", scratch, "tmpfs", data="mode=755")
        upper, work, root = (scratch / name for name in ("upper", "work", "root"))
        for path in (upper, work, root):
            path.mkdir()
        data = f"lowerdir={lower},upperdir={upper},workdir={work}"
        linux.mount("overlay", root, "overlay", data=data)
        linux.mount("proc", root / "proc", "proc")
        try:
            yield root
        finally:
            for path in (root / "proc", root, scratch):
                subprocess.run(["umount", "--lazy", path], check=False)


def inside(root: Path, *argv: str, status: int = 0) -> str:
    """What a command in the tree says. Raises Broken with it unless it ends as it should."""
    ran = subprocess.run(
        ["chroot", root, *argv],
        env={"PATH": _PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != status:
        raise Broken(f"{' '.join(argv)}: {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def files(root: Path) -> set[str]:
    """Every path in a tree, but what dpkg keeps for itself."""
    found = set()
    for directory, folders, names in os.walk(root):
        here = Path(directory).relative_to(root).as_posix()
        if here == ".":
            folders[:] = [name for name in folders if name not in {"proc", "sys", "dev", "tmp"}]
        found |= {f"{here}/{name}".removeprefix("./") for name in (*folders, *names)}
    return {name for name in found if not name.startswith(NOT_OURS) and name not in NOT_OURS_FILES}


def accounts(root: Path) -> dict[str, set[str]]:
    """Who is known in a tree."""
    return {name: set((root / "etc" / name).read_text().splitlines()) for name in _ACCOUNTS}


def newer(package: Path, target: Path) -> None:
    """The same package with a later version, and nothing else changed."""
    with tempfile.TemporaryDirectory(prefix="sdbox-deb-newer-") as made:
        tree = Path(made) / "tree"
        subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
        text = (tree / "DEBIAN/control").read_text()
        lines = [
            line + UPGRADED if line.startswith("Version: ") else line for line in text.splitlines()
        ]
        (tree / "DEBIAN/control").write_text("\n".join(lines) + "\n")
        words = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(target)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def same(holds: bool, otherwise: str) -> None:  # noqa: FBT001  it is the statement
    """Raises Broken with what was seen unless the statement holds."""
    if not holds:
        raise Broken(otherwise)
