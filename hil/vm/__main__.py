"""`python -m hil.vm [--box | --kernel] [PYTEST ARGUMENT ...]`: what takes a kernel of its own.

`--box`: a whole box, hil/vm/box, looked at from outside by `BOX_TESTS`, or by those named.
`--kernel`: `TESTS`, run inside; the same with those named. Nothing: box, then kernel.

Its status is pytest's, but that none of `TESTS` may be skipped there; what they came to is in
build/vm/junit.xml. Where the machine can't be, it says so in one line and is no failure.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from hil import host
from hil.net.process import Process, Unit
from hil.vm import image, machine
from hil.vm.box import disk

RUN_S: Final = 1800.0
BOX_TESTS: Final = (
    "tests/hil/vm/box_in_the_field.py",
    "tests/hil/vm/box_in_a_session.py",
)
BOX_FIXTURE: Final = "tests.hil.vm.field"
BOX: Final = "--box"
KERNEL: Final = "--kernel"
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


def missing(words: list[str]) -> str | None:
    """Why there can be no machine here for what is asked."""
    kept = [disk.place()] if words[:1] in ([], [BOX]) else []
    kept += [image.place()] if words[:1] != [BOX] else []
    return (
        host.root()
        or host.program("mmdebstrap", "mmdebstrap")
        or host.program(machine.QEMU.name, "qemu-system-x86")
        or host.tun()
        or host.mirror(kept)
    )


def main(words: list[str]) -> int:
    """Entry point."""
    if why := missing(words):
        return host.skipped(why)
    match words:
        case []:
            status = box([])
            return inside([]) or status
        case ["--box", *tests]:
            return box(tests)
        case ["--kernel", *tests] | tests:
            return inside(tests)


def box(tests: list[str]) -> int:
    """A box, from outside: its tests' status. They are told of as they go, figures last."""
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-p", BOX_FIXTURE, "-v", "-x", "-s")
    start_s = time.monotonic()
    argv = [sys.executable, *words, "--color=no", *(tests or BOX_TESTS)]
    process = Process(Unit(argv, environment=dict(os.environ)))
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
        made = image.image()
        made_s = time.monotonic() - start_s
        command = [*pytest, f"--junit-xml={machine.JUNIT}", *(tests or TESTS)]
        result = machine.run(made, command, RUN_S)
    except (image.ChildFailed, machine.NoResult) as error:
        print(f"hil-vm: {error}", file=sys.stderr)
        return 1
    (image.KEPT / "junit.xml").write_bytes(result.junit)
    whole_s = time.monotonic() - start_s
    print(f"hil-vm: image {made_s:.0f} s, machine {whole_s - made_s:.0f} s")
    if not tests and b"<skipped" in result.junit:
        print("hil-vm: a test was skipped that the machine is there for", file=sys.stderr)
        return result.status or 1
    return result.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
