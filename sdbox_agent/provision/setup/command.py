"""Commands of the system's, as setup gives them: no shell, no words, an end in time [door]."""

from __future__ import annotations

import os
import subprocess
from typing import Final

from sdbox_agent.errors import Fault

COMMAND_S: Final = 90.0  # of one; a unit that does not come up has its own, shorter limit


def run(*argv: str) -> None:
    """Raises Fault("unit-failed") unless it ends well."""
    if said(*argv) != 0:
        raise Fault("unit-failed")


def said(*argv: str) -> int:
    """The status a command ends with; -1 if it is not there, or not done in time."""
    try:
        with subprocess.Popen(  # noqa: S603  commands of ours, no shell
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}, cwd=os.sep,
        ) as process:  # fmt: skip
            try:
                return process.wait(COMMAND_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return -1
    except FileNotFoundError:
        return -1
