"""[door] The box's disk: Debian with the package and the rig's files; and what makes it this box.

The Debian is kept in build/, and so is the disk with one package in it; both are made anew when
anything they are made of has changed. What is new with each rig (settings, anchors, keys) comes on
a second disk, which is copied over the first before the box's first process starts. Needs root.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from hil import scratch
from hil.net.process import REPOSITORY
from hil.package import control, deb
from hil.vm.image import SUITE, Image, child, disk_of, packages

HERE: Final = Path(__file__).parent
KEPT: Final = REPOSITORY / "build/vm-box"
_DEBIAN_OF: Final = (HERE / "packages", HERE / "shape")
_INSTALL: Final = HERE / "install"
_RIG: Final = HERE / "rig"
# Of the kernel's drivers, what neither the machine has nor any test plugs in: most of its size.
_DRIVERS: Final = ("gpu", "media", "net/wireless", "net/ethernet", "infiniband", "staging")


def wanted() -> list[str]:
    """Debian packages: ours needs them, the machine does."""
    ours = {line.split(" ")[0] for line in control.AGENT_DEPENDS}
    return sorted(ours | set(packages((HERE / "packages").read_text())))


def place() -> Path:
    """Where the Debian that is wanted lies, once it is made."""
    made_of = [" ".join([SUITE, *wanted(), *_DRIVERS]).encode()]
    made_of += [path.read_bytes() for path in _DEBIAN_OF]
    return KEPT / f"debian-{_digest(*made_of)}"


def debian() -> Path:
    """Its root directory: the one that is kept, or a new one in its place. Raises ChildFailed."""
    kept = place()
    if not kept.exists():
        shutil.rmtree(KEPT, ignore_errors=True)
        KEPT.mkdir(parents=True)
        making = KEPT / "making"
        unwanted = (
            *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"),
            *(f"/lib/modules/*/kernel/drivers/{name}/*" for name in _DRIVERS),
        )
        child(
            *("unshare", "--mount"),  # what it mounts goes with it, also if it is killed
            *("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(wanted())}"),
            *(f"--dpkgopt=path-exclude={path}" for path in unwanted),
            *(f"--customize-hook={HERE / 'shape'}", SUITE, str(making)),
        )
        making.rename(kept)
    return kept


def image() -> Image:
    """The machine's, with the package of this tree in it. Raises ChildFailed, deb.Failed."""
    root = debian()
    package = deb.build(KEPT / "package", "none").path
    rig = sorted(path for path in _RIG.rglob("*") if path.is_file())
    parts = [str(path.relative_to(_RIG)).encode() + b"\0" + path.read_bytes() for path in rig]
    kept = KEPT / f"disk-{_digest(root.name.encode(), package.read_bytes(), *parts)}"
    if not kept.exists():
        for old in KEPT.glob("disk-*"):
            shutil.rmtree(old)
        making = KEPT / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        room = scratch.made("vm")
        try:
            disk = making / "root.ext4"
            argv = (_INSTALL, root, package, _RIG, disk, room)
            child("unshare", "--mount", *map(str, argv))
        finally:
            shutil.rmtree(room, ignore_errors=True)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copy2((root / name).resolve(), making / name)
        making.rename(kept)
    return Image(kept)


def seed(tree: Path, disk: Path) -> None:
    """A disk of what makes the machine this box."""
    disk_of(tree, disk)


def _digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()[:16]
