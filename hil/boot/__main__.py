"""`python -m hil.boot [PYTEST ARGUMENT ...]`: the package, a Debian, and the tests of both booted.

Its status is pytest's. Where the machine can't be, it says so in one line and is no failure.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest

from hil import host
from hil.boot import machine, root
from hil.net.process import REPOSITORY
from hil.package import deb, environment
from hil.vm.image import ChildFailed

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE: Final = "SDBOX_BOOT_PACKAGE"  # tests/boot is collected where it names a package
# In this order: the first has a machine of its own, the last one takes the package away.
TESTS: Final = tuple(
    f"tests/boot/test_{name}.py"
    for name in ("setup", "start", "session", "deaths", "denials", "package")
)
BUILT: Final = REPOSITORY / "build/boot-deb"


def main(arguments: list[str]) -> int:
    """Entry point."""
    if why := machine.missing() or host.mirror([root.place()]):
        return host.skipped(why)
    start_s = time.monotonic()
    try:
        os.environ[PACKAGE] = str(_package())
        built_s = time.monotonic() - start_s
        root.clean()
    except (ChildFailed, deb.Failed, environment.NoWheels) as error:
        print(f"hil-boot: {error}", file=sys.stderr)
        return 1
    made_s = time.monotonic() - start_s - built_s
    status = pytest.main(["-q", "-p", "no:cacheprovider", *(arguments or TESTS)])
    whole_s = time.monotonic() - start_s
    print(
        f"hil-boot: package {built_s:.0f} s, Debian {made_s:.0f} s, "
        f"the rest {whole_s - built_s - made_s:.0f} s"
    )
    return int(status)


def _package() -> Path:
    """Not compressed: it is unpacked once, here. Raises what building raises."""
    if given := os.environ.get(PACKAGE):
        return REPOSITORY / given
    return deb.build(BUILT, "none").path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
