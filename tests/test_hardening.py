"""A process that has closed and locked its memory: seen from outside, by what the kernel says."""

import os
import subprocess
from pathlib import Path

import pytest

from sdbox_agent.hardening import has_swap

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
LOCKING = (
    (ROOT / "sdbox_agent/hardening.py").read_text()
    + """
import re, sys
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
try:
    lock_memory()
except OSError as error:
    print(error.strerror)
else:
    print(re.search(r"VmLck:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
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


@pytest.mark.skipif(os.getuid() != 0, reason="starts a process of another user")
def test_memory_is_locked_or_the_caller_is_told() -> None:
    def said(user: int) -> str:
        return subprocess.check_output(
            [PYTHON, "-c", LOCKING],
            cwd="/", user=user, group=user, extra_groups=[], text=True,
        ).strip()  # fmt: skip

    assert int(said(0)) > 1000, "root needs no limit"
    assert said(61001) == "mlockall"


def test_swap_is_seen_where_there_is_some() -> None:
    (total,) = (
        line.split()[1]
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("SwapTotal:")
    )
    assert has_swap() == (int(total) > 0)
