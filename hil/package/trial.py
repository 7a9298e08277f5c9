"""`python -m hil.package.trial`: each package in a clean Debian, from installation to purge.

In files alone first: no service manager runs there, so units are enabled and verified, not started.
The centre is then booted and started, too (`booted`); the box that is booted is `make hil-boot`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.net.process import REPOSITORY
from hil.package import booted, contents, deb, environment, recipe
from hil.package.clean import (
    UPGRADED,
    Broken,
    accounts,
    clean_root,
    files,
    inside,
    missing,
    newer,
    overlaid,
    same,
)
from hil.vm.image import ChildFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hil.package.recipe import Recipe

# Each module of a program, by the interpreter and with the flags of the units.
_IMPORT_ALL: Final = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        # a library is for ctypes, and Alembic runs its own
        if not found.name.endswith(("__main__", ".libkernel", ".migrations.env")):
            importlib.import_module(found.name)
"""
_FINGERS: Final = """
from sdbox_agent.sensor import libfprint
import gi
gi.require_version("FPrint", "2.0")
from gi.repository import FPrint
print(FPrint.__name__)
"""
_EXAMPLES: Final = "usr/share/doc/sdbox-centre/examples"


@dataclass(frozen=True, slots=True)
class Trial:
    """One package's."""

    one: Recipe
    tried: Callable[[Path], None]  # what an operator and the service manager would first do
    state: Mapping[str, bytes]  # files that nothing but a purge may touch


def life(trial: Trial, root: Path, package: Path) -> None:
    """Installed, tried, upgraded, removed, installed again, purged. Raises Broken."""
    name, library, tried = trial.one.name, root / trial.one.library, trial.tried
    before, knew = files(root), accounts(root)
    here = root / "tmp"
    shutil.copyfile(package, here / "one.deb")
    _told("install", lambda: dpkg(root, "-i", "/tmp/one.deb"))
    _told("run", lambda: tried(root))
    for path, data in trial.state.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(data)
    newer(here / "one.deb", here / "two.deb")
    _told("upgrade", lambda: dpkg(root, "-i", "/tmp/two.deb"))
    said = inside(root, "dpkg-query", "-W", "-f", "${Version} ${Status}", name)
    same(said.endswith(f"{UPGRADED} install ok installed"), said)
    _kept(root, trial.state)
    _told("run the newer", lambda: tried(root))
    _told("remove", lambda: dpkg(root, "-r", name))
    same(not library.exists(), f"{trial.one.library} is left by a removal")
    _kept(root, trial.state)
    _told("install again", lambda: dpkg(root, "-i", "/tmp/two.deb"))
    _kept(root, trial.state)
    _told("purge", lambda: dpkg(root, "-P", name))
    left = files(root) - before
    same(not left, f"left by a purge: {sorted(left)}")
    gone = before - files(root)
    same(not gone, f"taken by a purge: {sorted(gone)}")
    same(accounts(root) == knew, "a purge leaves accounts, or takes another's")


def dpkg(root: Path, *words: str) -> str:
    """Run dpkg in the tree, quickly."""
    return inside(root, "dpkg", "--force-unsafe-io", *words)


def box_tried(root: Path) -> None:
    """Raises Broken."""
    same(inside(root, "sdbox-agent", "--version").strip() != "", "no version")
    explained = inside(root, "sdbox-agent", "--language", "en", "explain", "card-expired")
    same("card-expired" in explained, explained)
    profile = f"/{contents.LIBRARY}/firmware_profiles/virtual.toml"
    same("virtual" in inside(root, "sdbox-agent", "profile", "check", profile), "no profile")
    inside(root, "sdbox-agent", "finger", "extract", "x", status=2)
    _loaded(root, contents.LIBRARY, "sdbox_agent")
    python = f"/{contents.LIBRARY}/bin/python"
    same("FPrint" in inside(root, python, "-I", "-c", _FINGERS), "no libfprint")
    same(_enabled(root) == ["sysinit.target.wants/sdbox-walls.service"], f"{_enabled(root)}")
    _verified(root)
    for user in ("sdbox", "sdbox-card", "sdbox-finger", "sdbox-tunnel", "sdbox-walls"):
        inside(root, "getent", "passwd", user)
    mode = (root / "etc/sdbox/identity").stat().st_mode & 0o777
    same(mode == 0o700, f"etc/sdbox/identity: {mode:o}")


def centre_tried(root: Path) -> None:
    """Raises Broken."""
    _loaded(root, contents.CENTRE, "sdbox_centre", "sdbox_agent")
    for name in ("api.toml", "gateway.toml"):
        shutil.copyfile(root / _EXAMPLES / name, root / "etc/sdbox-centre" / name)
    settings = ("--config", "/etc/sdbox-centre/api.toml")
    said = inside(root, "sdbox-centre", "openapi", *settings)
    same("/v1/hello" in said, said[:200])
    user = "sdbox-centre-api"
    inside(root, "runuser", "-u", user, "--", "sdbox-centre", "init", *settings)
    database = (root / "var/lib/sdbox-centre/centre.db").stat()
    number = inside(root, "id", "-u", user).strip()
    same((database.st_uid, database.st_size > 0) == (int(number), True), f"{database}")
    same("grant" in inside(root, "sdbox-centre", "--help"), "staff's verbs are not there")
    same(_enabled(root) == [], f"{_enabled(root)}")
    _verified(root)
    for name in ("sdbox-centre", "sdbox-centre-remembered", "sdbox-centre-gateway"):
        mode = (root / "var/lib" / name).stat().st_mode & 0o777
        same(mode == 0o700, f"{name}: {mode:o}")


BOX: Final = Trial(
    recipe.AGENT,
    box_tried,
    {
        "etc/sdbox/box.toml": b"kept = true\n",
        "etc/sdbox/identity/kept": b"key",
        "var/lib/sdbox/kept": b"attempts",
    },
)
CENTRE: Final = Trial(
    recipe.CENTRE,
    centre_tried,
    {
        "etc/sdbox-centre/carrier.toml": b"kept = true\n",
        "etc/sdbox-centre/projects/kept.toml": b"a project",
        "var/lib/sdbox-centre/kept": b"attempts",
        "var/lib/sdbox-centre-gateway/acts": b"acts",
    },
)


def _loaded(root: Path, library: object, *packages: str) -> None:
    inside(root, f"/{library}/bin/python", "-I", "-c", _IMPORT_ALL, *packages)


def _enabled(root: Path) -> list[str]:
    wants = root / "etc/systemd/system"
    return sorted(str(path.relative_to(wants)) for path in wants.rglob("sdbox*"))


def _verified(root: Path) -> None:
    units = sorted(path.name for path in (root / contents.UNITS).glob("sdbox*"))
    whole = [name for name in units if "@" not in name and not name.endswith(".d")]
    same(len(whole) >= 3, f"units: {whole}")
    inside(root, "systemd-analyze", "verify", "--man=no", *whole)


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


def _kept(root: Path, state: Mapping[str, bytes]) -> None:
    for name, data in state.items():
        same((root / name).is_file() and (root / name).read_bytes() == data, f"{name}: not kept")


def _told(what: str, act: Callable[[], object]) -> None:
    start_s = time.monotonic()
    act()
    print(f"hil-deb: {what}: {time.monotonic() - start_s:.1f} s", flush=True)


def _lived(trial: Trial) -> None:
    built = deb.build(REPOSITORY / "build/deb", one=trial.one)
    print(f"hil-deb: {built.path.name}: {built.took_s:.0f} s", flush=True)
    _told("lintian", lambda: judged(built.path))
    lower = clean_root(built.path)
    with overlaid(lower) as root:
        life(trial, root, built.path)
    if trial.one is recipe.CENTRE:
        booted.life(lower, built.path, _told)


def main(arguments: list[str] | None = None) -> int:
    """Entry point: build, let lintian look, live. `arguments`: names of packages; all of them."""
    if why := missing():
        print(f"skipped: {why}")
        return 0
    try:
        for trial in (BOX, CENTRE):
            if not arguments or trial.one.name in arguments:
                _lived(trial)
    except (Broken, ChildFailed, deb.Failed, environment.NoWheels) as error:
        print(f"hil-deb: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
