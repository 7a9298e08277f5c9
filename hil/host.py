"""[door] What a rung of the rig needs of its host; where it is not there, one line says so.

`skipped: host has no …`, and status 0: a host that can't is no failure.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil import scratch
from hil.vm import image

if TYPE_CHECKING:
    from collections.abc import Iterable

TUN: Final = Path("/dev/net/tun")
MIRROR_S: Final = 120.0  # its lists of packages are some ten megabytes


def root() -> str | None:
    """Each of these: what is missing, or None."""
    return "no root" if os.geteuid() != 0 else None


def program(name: str, package: str) -> str | None:
    """In the PATH; `package` is Debian's that has it."""
    return f"no {name} (Debian: {package})" if shutil.which(name) is None else None


def tun() -> str | None:
    """The device by which QEMU and wireguard-go have a network."""
    return None if TUN.exists() else f"no {TUN}"


def mirror(kept: Iterable[Path]) -> str | None:
    """A Debian mirror, the one that mmdebstrap asks; not asked where all of `kept` is there."""
    if all(path.exists() for path in kept):
        return None
    room = scratch.made("vm")
    words = ("mmdebstrap", "--quiet", "--simulate", "--variant=extract", "--mode=root")
    try:
        argv = (*words, image.SUITE, str(room / "debian"))
        image.child(*argv, within_s=MIRROR_S, output=room / "said")
    except image.ChildFailed:
        return "no Debian mirror"
    finally:
        scratch.removed(room)
    return None


def skipped(why: str) -> int:
    """Say it. The status of a command that does nothing then."""
    print(f"skipped: host has {why}")
    return 0
