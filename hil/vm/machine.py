"""[door] One run of the machine: the code's disk, QEMU, the command's end."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil import scratch
from hil.net.process import REPOSITORY, Process, Unit
from hil.vm.image import compile_all, disk_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.vm.image import Image

QEMU: Final = Path("/usr/bin/qemu-system-x86_64")
PYTHON: Final = ".venv/bin/python"  # of the command, which runs in the code's directory
JUNIT: Final = "/tmp/junit.xml"
# Without fast strings: Debian's kernel then copies and clears by words, not by bytes, each of which
# is an instruction here.
CPU: Final = "max,erms=off,fsrm=off"
RESULT_BYTES: Final = 8 * 1024 * 1024
MEMORY_MB: Final = 1536
_CODE: Final = (
    *("sdbox_agent", "sdbox_centre", "hil", "tests", "firmware_profiles", "systemd", "udev"),
    "pyproject.toml",
)
_CLOCK: Final = "shift=3,sleep=off"  # 2³ ns an instruction; two processors don't boot so
_CONSOLE: Final = "console=ttyS0 quiet panic=-1"


class NoResult(Exception):  # noqa: N818  told with what happened
    """The machine did not end in time, or said nothing at its end."""


@dataclass(frozen=True)
class Result:
    """What the command came to."""

    status: int
    junit: bytes  # what it has left at JUNIT; nothing where it left none


def run(image: Image, command: Sequence[str], within_s: float) -> Result:
    """Start the machine, have it do one command, and see it off. It dies with this process.

    What it says is on our standard output. Raises NoResult, ChildFailed.
    """
    with contextlib.ExitStack() as stack:
        room = scratch.made("vm")
        stack.callback(scratch.removed, room)
        code, result = room / "code.ext4", room / "result"
        _code_disk(room / "code", command, code)
        result.touch()
        os.truncate(result, RESULT_BYTES)
        _boot(arguments(image, code, result), within_s)
        return read(result.read_bytes())


def arguments(image: Image, code: Path, result: Path) -> list[str]:
    """QEMU's. No network, no screen; nothing is kept but the result."""
    disks = ((image.disk, ",snapshot=on"), (code, ",snapshot=on"), (result, ""))
    return [
        str(QEMU),
        *("-accel", "tcg,thread=single", "-cpu", CPU, "-smp", "1", "-machine", "q35"),
        *("-icount", _CLOCK, "-rtc", "clock=vm"),
        *("-m", str(MEMORY_MB), "-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"),
        *("-serial", "stdio", "-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", f"root=/dev/vda rw {_CONSOLE}"),
        *(
            word
            for path, how in disks
            for word in ("-drive", f"file={path},format=raw,if=virtio{how}")
        ),
    ]


def read(result: bytes) -> Result:
    """What the machine has left on its third disk. Raises NoResult."""
    status, newline, junit = result.rstrip(b"\0").partition(b"\n")
    if not newline or not status.isdigit():
        raise NoResult("it left no result")
    return Result(int(status), junit)


def _code_disk(tree: Path, command: Sequence[str], disk: Path) -> None:
    tree.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in _CODE:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy2(source, tree / name)
    compile_all(tree)
    (tree / ".venv").mkdir()
    (tree / "command").write_text(shlex.join(command) + "\n")
    disk_of(tree, disk)


def _boot(argv: list[str], within_s: float) -> None:
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  a device
        process = Process(Unit(argv, stdin=nothing.fileno()))
    with contextlib.ExitStack() as stack:
        stack.callback(process.end)
        if not process.wait(within_s):
            raise NoResult(f"it was not done in {within_s:g} s")
