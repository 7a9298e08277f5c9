"""A process that has closed its memory: seen from outside, by what the kernel then refuses."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The interpreter of the system, and the module's text: another user may not reach this directory.
PYTHON = "/usr/bin/python3"
CHILD = (
    (ROOT / "sdbox_agent/hardening.py").read_text()
    + """
import resource, sys
close_memory() if sys.argv[1] == "closed" else None
print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
sys.stdin.read()
"""
)


@pytest.mark.parametrize("how", ["closed", "open"])
@pytest.mark.skipif(os.getuid() != 0, reason="starts a process of another user")
def test_no_core_dump_and_no_debugger_of_our_own_user(how: str) -> None:
    with subprocess.Popen(
        [PYTHON, "-c", CHILD, how],
        cwd="/", user=61001, group=61001, extra_groups=[],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout
        limits = child.stdout.readline()
        owner = Path(f"/proc/{child.pid}/mem").stat().st_uid
        child.communicate(b"")
    if how == "closed":
        assert limits == b"(0, 0)\n"
        assert owner == 0, "not dumpable: its memory belongs to root, not to its user"
    else:
        assert owner == 61001, "or this test could not fail"
