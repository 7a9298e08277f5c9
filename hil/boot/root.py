"""[door] The Debian that is booted: made once, kept in build/, and never written in.

Made anew when what it is made of has changed. Needs root, and a Debian mirror, the one apt knows.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from hil.net.process import REPOSITORY
from hil.package.control import AGENT_DEPENDS
from hil.vm import image

PACKAGES: Final = Path(__file__).with_name("packages")
KEPT: Final = REPOSITORY / "build/boot"
SUITE: Final = "bookworm"


def wanted() -> list[str]:
    """Names of packages: what ours depends on, and `packages`."""
    depends = {line.split(" ")[0] for line in AGENT_DEPENDS}
    return sorted(depends | set(image.packages(PACKAGES.read_text())))


def key(names: list[str]) -> str:
    """What distinguishes a Debian from those made of something else."""
    made_of = [SUITE, *names, Path(__file__).read_text()]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]


def place() -> Path:
    """Where the one that is wanted lies, once it is made."""
    return KEPT / key(wanted())


def clean() -> Path:
    """The one that is kept, or a new one in its place. Raises ChildFailed."""
    kept = place()
    if not kept.exists():
        shutil.rmtree(KEPT, ignore_errors=True)
        making = KEPT / "making"
        making.mkdir(parents=True)
        _make(making, wanted())
        making.rename(kept)
    return kept


def _make(tree: Path, names: list[str]) -> None:
    image.child(
        *("unshare", "--mount"),  # what it mounts goes with it, also if it is killed
        *("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(names)}"),
        *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"),
        *(SUITE, str(tree)),
    )
