"""[door] The machine's disk, its kernel and its initial RAM disk: made once, and kept in build/.

They are made anew when anything they are made of has changed. Needs root (mmdebstrap and the
owners of files), and a Debian mirror, the one that apt knows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hil.net.process import REPOSITORY, Process, Unit

HERE: Final = Path(__file__).parent
PACKAGES: Final = HERE / "packages"
INIT: Final = HERE / "init"
SHAPE: Final = HERE / "shape"
KEPT: Final = REPOSITORY / "build/vm"
SUITE: Final = "bookworm"
MAKING_S: Final = 1800.0  # 75 s on a quiet machine with a near mirror
_MADE_OF: Final = (PACKAGES, INIT, SHAPE, Path(__file__), REPOSITORY / "uv.lock")
# Of the environment, what no test imports: most of its size.
_TOOLS: Final = ("atheris*", "*fuzzer*", "mypy*", "*mypyc*", "ruff*", "pip*", "uv*", "__pycache__")
_SPARE: Final = 1.3  # room for what a file system needs itself


@dataclass(frozen=True)
class Image:
    """Where they lie."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """Debian's."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """With little in it."""
        return self.directory / "initrd.img"

    @property
    def disk(self) -> Path:
        """The root file system: ext4, no partitions."""
        return self.directory / "root.ext4"


def packages(text: str) -> list[str]:
    """The names in a list with comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def key(made_of: tuple[Path, ...] = _MADE_OF) -> str:
    """What distinguishes an image from those made of something else."""
    parts = [path.name.encode() + b"\0" + path.read_bytes() for path in made_of]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def place() -> Path:
    """Where the one that is wanted lies, once it is made."""
    return KEPT / key()


def image() -> Image:
    """The one that is kept, or a new one in its place. Raises ChildFailed."""
    kept = place()
    if not kept.exists():
        shutil.rmtree(KEPT, ignore_errors=True)
        making = KEPT / "making"
        making.mkdir(parents=True)
        _make(making)
        making.rename(kept)
    return Image(kept)


class ChildFailed(Exception):  # noqa: N818  told with what it was
    """A program that makes something did not, or not in time."""


def child(*argv: str, within_s: float = MAKING_S, output: Path | None = None) -> None:
    """Run a program that dies with us; what it says goes to `output`. Raises ChildFailed."""
    found = shutil.which(argv[0], path=_PATH)
    if found is None:
        raise ChildFailed(f"{argv[0]}: not installed")
    process = Process(Unit([found, *argv[1:]], environment={"PATH": _PATH}, output=output))
    ended = process.wait(within_s)
    process.end()
    if not ended or process.status != 0:
        raise ChildFailed(f"{argv[0]}: {process.status if ended else 'not in time'}")


_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def disk_of(tree: Path, disk: Path) -> None:
    """An ext4 file system of what lies in a directory."""
    size = subprocess.check_output(["du", "-sm", str(tree)], text=True).split()[0]
    child("mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), str(disk), f"{_room_mb(int(size))}M")


def _room_mb(size_mb: int) -> int:
    return int(size_mb * _SPARE) + 32


def _make(directory: Path) -> None:
    """All three files, in a directory that is empty."""
    tree = directory / "tree"
    wanted = ",".join(packages(PACKAGES.read_text()))
    child(
        *("unshare", "--mount"),  # what it mounts goes with it, also if it is killed
        *("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={wanted}"),
        *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"),
        *(f"--customize-hook={SHAPE}", SUITE, str(tree)),
    )
    shutil.copy2(INIT, tree / "sbin/init")
    _environment(tree / "environment")
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy2((tree / name).resolve(), directory / name)
    disk_of(tree, directory / "root.ext4")
    shutil.rmtree(tree)


def _environment(there: Path) -> None:
    """The locked environment, its modules compiled: under TCG that takes a machine long."""
    ignored = shutil.ignore_patterns(*_TOOLS)
    here = REPOSITORY / ".venv"
    shutil.copytree(here, there, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    compile_all(there)


def compile_all(tree: Path) -> None:
    """Every module below `tree`, for the interpreter this is run by, which is Debian's own too."""
    nice = ["nice", "-n", "5"] if os.nice(0) == 0 else []
    subprocess.run(
        [*nice, sys.executable, "-m", "compileall", "-q", str(tree)],
        check=False,  # some are there to be broken
        stdout=subprocess.DEVNULL,
    )
