"""`python -m hil.package.trial`: a package in a clean Debian, from installation to purge.

The Debian is minbase with what the package depends on, made once and kept in build/; each trial
sees it through an overlay of its own, in namespaces without a network that go when it ends. No
service manager runs there, and policy-rc.d says so: units are enabled and verified, not started.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.net import linux
from hil.net.process import REPOSITORY
from hil.package import contents, control, deb, environment
from hil.vm.image import ChildFailed, child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEPT: Final = REPOSITORY / "build/deb/root"
SUITE: Final = "bookworm"
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
_PYTHON: Final = f"/{contents.LIBRARY}/bin/python"
# Each module of ours, by the interpreter and with the flags of the units.
_IMPORT_ALL: Final = """
import importlib, pkgutil, sdbox_agent
for found in pkgutil.walk_packages(sdbox_agent.__path__, "sdbox_agent."):
    if not found.name.endswith(("__main__", ".libkernel")):  # that is for ctypes
        importlib.import_module(found.name)
from sdbox_agent.sensor import libfprint
import gi
gi.require_version("FPrint", "2.0")
from gi.repository import FPrint
print(FPrint.__name__)
"""


class Broken(Exception):  # noqa: N818  told with what was seen
    """The package did not do what it should."""


def missing() -> str | None:
    """Why there can be no trial here."""
    if os.geteuid() != 0:
        return "mounting takes root"
    if shutil.which("mmdebstrap") is None:
        return "host has no mmdebstrap"
    return None


def clean_root() -> Path:
    """The Debian that is kept, or a new one in its place. Raises ChildFailed."""
    wanted = sorted({line.split(" ")[0] for line in control.AGENT_DEPENDS})
    kept = KEPT / hashlib.sha256(" ".join([SUITE, *wanted]).encode()).hexdigest()[:16]
    if not kept.exists():
        shutil.rmtree(KEPT, ignore_errors=True)
        making = KEPT / "making"
        making.mkdir(parents=True)
        child(
            *("unshare", "--mount"),  # what it mounts goes with it, also if it is killed
            *("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(wanted)}"),
            *(SUITE, str(making)),
        )
        policy = making / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        making.rename(kept)
    return kept


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


def life(root: Path, package: Path) -> None:
    """Installed, tried, upgraded, removed, installed again, purged. Raises Broken."""
    before, knew = files(root), accounts(root)
    here = root / "tmp"
    shutil.copyfile(package, here / "one.deb")
    _told("install", lambda: dpkg(root, "-i", "/tmp/one.deb"))
    _told("run", lambda: tried(root))
    state = {
        "etc/sdbox/box.toml": b"kept = true\n",
        "etc/sdbox/identity/kept": b"key",
        "var/lib/sdbox/kept": b"attempts",
    }
    for name, data in state.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    newer(here / "one.deb", here / "two.deb")
    _told("upgrade", lambda: dpkg(root, "-i", "/tmp/two.deb"))
    said = inside(root, "dpkg-query", "-W", "-f", "${Version} ${Status}", "sdbox-agent")
    same(said.endswith(f"{UPGRADED} install ok installed"), said)
    _kept(root, state)
    _told("run the newer", lambda: tried(root))
    _told("remove", lambda: dpkg(root, "-r", "sdbox-agent"))
    same(not (root / contents.LIBRARY).exists(), f"{contents.LIBRARY} is left by a removal")
    _kept(root, state)
    _told("install again", lambda: dpkg(root, "-i", "/tmp/two.deb"))
    _kept(root, state)
    _told("purge", lambda: dpkg(root, "-P", "sdbox-agent"))
    left = files(root) - before
    same(not left, f"left by a purge: {sorted(left)}")
    gone = before - files(root)
    same(not gone, f"taken by a purge: {sorted(gone)}")
    same(accounts(root) == knew, "a purge leaves accounts, or takes another's")


def dpkg(root: Path, *words: str) -> str:
    """Run dpkg in the tree, quickly."""
    return inside(root, "dpkg", "--force-unsafe-io", *words)


def tried(root: Path) -> None:
    """What an operator and the service manager would first do with it."""
    same(inside(root, "sdbox-agent", "--version").strip() != "", "no version")
    explained = inside(root, "sdbox-agent", "--language", "en", "explain", "card-expired")
    same("card-expired" in explained, explained)
    profile = f"/{contents.LIBRARY}/firmware_profiles/virtual.toml"
    same("virtual" in inside(root, "sdbox-agent", "profile", "check", profile), "no profile")
    inside(root, "sdbox-agent", "finger", "extract", "x", status=2)
    same("FPrint" in inside(root, _PYTHON, "-I", "-c", _IMPORT_ALL), "no libfprint")
    wants = root / "etc/systemd/system"
    enabled = sorted(str(path.relative_to(wants)) for path in wants.rglob("sdbox*"))
    same(enabled == ["sysinit.target.wants/sdbox-walls.service"], f"enabled: {enabled}")
    units = sorted(path.name for path in (root / contents.UNITS).glob("sdbox*"))
    whole = [name for name in units if "@" not in name and not name.endswith(".d")]
    inside(root, "systemd-analyze", "verify", "--man=no", *whole)
    for user in ("sdbox", "sdbox-card", "sdbox-finger", "sdbox-tunnel", "sdbox-walls"):
        inside(root, "getent", "passwd", user)
    mode = (root / "etc/sdbox/identity").stat().st_mode & 0o777
    same(mode == 0o700, f"etc/sdbox/identity: {mode:o}")


def judged(package: Path) -> None:
    """Debian's own judge, where it is installed (71 MB): raises Broken with its errors."""
    if shutil.which("lintian") is None:
        print("hil-deb: lintian is not installed: skipped")
        return
    words = [
        "lintian",
        "--allow-root",
        "--no-tag-display-limit",
        "--fail-on",
        "error",
        str(package),
    ]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = ran.stdout.splitlines()
    errors = [line for line in lines if line.startswith("E:")]
    warnings = {line.split()[2] for line in lines if line.startswith("W:")}
    print(f"hil-deb: lintian: {len(errors)} errors; warnings: {' '.join(sorted(warnings))}")
    same(ran.returncode == 0, "\n".join(errors) or ran.stderr)


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


def _kept(root: Path, state: dict[str, bytes]) -> None:
    for name, data in state.items():
        same((root / name).is_file() and (root / name).read_bytes() == data, f"{name}: not kept")


def _told(what: str, act: Callable[[], object]) -> None:
    start_s = time.monotonic()
    act()
    print(f"hil-deb: {what}: {time.monotonic() - start_s:.1f} s", flush=True)


def main() -> int:
    """Entry point: build, let lintian look, live."""
    if why := missing():
        print(f"skipped: {why}")
        return 0
    try:
        built = deb.build(REPOSITORY / "build/deb")
        print(f"hil-deb: {built.path.name}: {built.took_s:.0f} s", flush=True)
        _told("lintian", lambda: judged(built.path))
        lower = clean_root()
        with overlaid(lower) as root:
            life(root, built.path)
    except (Broken, ChildFailed, deb.Failed, environment.NoWheels) as error:
        print(f"hil-deb: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
