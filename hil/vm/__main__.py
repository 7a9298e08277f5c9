"""`python -m hil.vm [--box | PYTEST ARGUMENT ...]`: tests that take a kernel of their own.

Those tests inside the machine; without any, `TESTS`. `--box`: the box of hil/vm/box, looked at from
outside by `BOX_TESTS`.

Its status is pytest's, but that none of `TESTS` may be skipped there; what they came to is in
build/vm/junit.xml. Where the machine can't be, it says so in one line and is no failure.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from hil.net.process import Process, Unit
from hil.vm import machine
from hil.vm.image import KEPT, ChildFailed, image

RUN_S: Final = 1800.0
BOX_TESTS: Final = "tests/hil/vm/box_in_the_field.py"
BOX: Final = "--box"
# The kernel's WireGuard: its port, the walls that hang by the helper, and the helper over it.
TESTS: Final = (
    "tests/tunnel/test_wireguard.py",
    "tests/tunnel/test_inkernel.py",
    "tests/tunnel/test_lifeline.py",
    "tests/workers/test_tunnel.py",
    "tests/workers/test_tunnel_deaths.py",
    "tests/workers/test_tunnel_kills.py",
    "tests/workers/test_tunnel_path.py",
    *("-k", "kernel or test_wireguard or test_lifeline"),
)


def missing() -> str | None:
    """Why there can be no machine here."""
    if os.geteuid() != 0:
        return "making and mounting take root"
    for program, package in (("mmdebstrap", "mmdebstrap"), (machine.QEMU.name, "qemu-system-x86")):
        if shutil.which(program) is None:
            return f"no {program} (Debian: {package})"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    return None


def main(tests: list[str]) -> int:
    """Entry point."""
    if why := missing():
        print(f"skipped: host has {why}" if why.startswith("no ") else f"skipped: {why}")
        return 0
    return box() if tests == [BOX] else inside(tests)


def box() -> int:
    """A box, from outside: its tests' status. They are told of as they go, figures last."""
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-q", "-x", "-s", "--color=no", BOX_TESTS)
    start_s = time.monotonic()
    process = Process(Unit([sys.executable, *words], environment=dict(os.environ)))
    try:
        ended = process.wait(RUN_S)
    finally:
        process.end()
    print(f"hil-vm: box {time.monotonic() - start_s:.0f} s")
    return 1 if not ended or process.status is None else process.status


def inside(tests: list[str]) -> int:
    """Tests in the machine; none: `TESTS`."""
    pytest = (machine.PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--color=no")
    start_s = time.monotonic()
    try:
        disk = image()
        made_s = time.monotonic() - start_s
        command = [*pytest, f"--junit-xml={machine.JUNIT}", *(tests or TESTS)]
        result = machine.run(disk, command, RUN_S)
    except (ChildFailed, machine.NoResult) as error:
        print(f"hil-vm: {error}", file=sys.stderr)
        return 1
    (KEPT / "junit.xml").write_bytes(result.junit)
    whole_s = time.monotonic() - start_s
    print(f"hil-vm: image {made_s:.0f} s, machine {whole_s - made_s:.0f} s")
    if not tests and b"<skipped" in result.junit:
        print("hil-vm: a test was skipped that the machine is there for", file=sys.stderr)
        return result.status or 1
    return result.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
