"""A process that has closed and locked itself: seen from outside, by what the kernel refuses."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from sdbox_agent import hardening
from sdbox_agent.hardening import has_swap, overwrite_freed
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]
# The interpreter of the system, and the module's text: another user may not reach this directory.
PYTHON = "/usr/bin/python3"
MODULE = (ROOT / "sdbox_agent/hardening.py").read_text()
CHILD = (
    MODULE
    + """
import resource, sys
close_memory() if sys.argv[1] == "closed" else None
print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)
sys.stdin.read()
"""
)
LOCKING = (
    MODULE
    + """
import re, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
try:
    lock_memory()
except OSError as error:
    print(error.strerror)
else:
    print(re.search(r"VmLck:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
)
# Each line is what one deed came to: "done", or the name of the error.
RENOUNCED = (
    MODULE
    + """
import sys
from pathlib import Path
def deed(act):
    try:
        act()
    except OSError as error:
        print(type(error).__name__, flush=True)
    else:
        print("done", flush=True)
def write():
    os.write(os.memfd_create("x"), b"x")
def hostname():
    socket.sethostname(socket.gethostname())
renounce() if sys.argv[1] == "renounced" else None
deed(lambda: socket.socket(socket.AF_UNIX).close())
deed(lambda: socket.socketpair())
deed(lambda: socket.socket(socket.AF_INET).close())
deed(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close())
deed(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close())
deed(lambda: os.execv("/bin/true", ["true"]) if sys.argv[1] == "renounced" else None)
deed(write)
deed(hostname)
print((Path("/proc/self/status").read_text().split("CapPrm:")[1].split()[0]))
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


def crashed(how: str, directory: Path) -> int:
    """The wait status of a process that might dump its core, closes its memory or not, and dies."""
    steps = [
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]",
        "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))",
        "resource.setrlimit = lambda *_: None",  # a pattern that is a program heeds no limit
        "close_memory()" if how == "closed" else "",
        f"os.chdir({str(directory)!r})",
        "os.abort()",
    ]
    code = "\n".join([MODULE, *steps])
    pid = os.posix_spawn(PYTHON, [PYTHON, "-c", code], {})
    return os.waitpid(pid, 0)[1]


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    """The kernel tells the parent whether it made one, wherever it went."""
    status = crashed("closed", tmp_path)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert list(tmp_path.iterdir()) == []
    if not os.WCOREDUMP(crashed("open", tmp_path)):
        pytest.skip("this machine makes no core of anybody")


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


class Kernel:
    """What sysinfo(2) says on another machine."""

    def __init__(self, swap_bytes: int, result: int = 0) -> None:
        self.swap_bytes, self.result = swap_bytes, result

    def sysinfo(self, words: ctypes.Array[ctypes.c_ulong]) -> int:
        words[8] = self.swap_bytes
        return self.result


@pytest.mark.parametrize("swap_bytes", [0, 4096])
def test_swap_is_what_the_kernel_counts(monkeypatch: pytest.MonkeyPatch, swap_bytes: int) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Kernel(swap_bytes))
    assert has_swap() == bool(swap_bytes)


def test_a_kernel_that_does_not_say_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Kernel(0, -1))
    with pytest.raises(OSError, match="sysinfo"):
        has_swap()


def test_who_may_not_lock_memory_starts_where_there_is_no_swap_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise OSError(12, "mlockall")

    monkeypatch.setattr(hardening, "lock_memory", refuse)
    monkeypatch.setattr(hardening, "has_swap", lambda: False)
    hardening.keep_out_of_swap()
    monkeypatch.setattr(hardening, "has_swap", lambda: True)
    with pytest.raises(OSError, match="mlockall"):
        hardening.keep_out_of_swap()


WITHOUT_SWAPS = """
set -e
mount -t proc -o subset=pid proc /proc
[ ! -e /proc/swaps ]
exec /usr/bin/python3 -c "$1"
"""


@pytest.mark.rig
def test_it_is_seen_under_a_unit_that_sees_processes_alone() -> None:
    """ProcSubset=pid, as card worker and finger process have it."""
    script = MODULE + "\nprint(has_swap())"
    said = subprocess.check_output(
        ["unshare", "--mount", "sh", "-c", WITHOUT_SWAPS, "sh", script], text=True
    )
    assert said == f"{has_swap()}\n"


def deeds(how: str) -> list[str]:
    done = subprocess.run(
        [PYTHON, "-c", RENOUNCED, how], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_what_was_renounced_is_refused() -> None:
    local, network, rest = ["done"] * 2, ["PermissionError"] * 3, ["PermissionError", "OSError"]
    assert deeds("renounced") == [*local, *network, *rest, "PermissionError", "0" * 16]


@pytest.mark.skipif(os.getuid() != 0, reason="others may do less anyway")
def test_nothing_is_refused_to_a_process_that_renounced_nothing() -> None:
    assert deeds("kept")[:7] == ["done"] * 7, "or the test above could not fail"


def test_a_child_dies_with_its_parent() -> None:
    """Killed, not asked: the parent gets no chance to tell anybody."""
    child = MODULE + "\nimport sys, time\ndie_with_parent(int(sys.argv[1]))\n"
    child += "print(os.getpid(), flush=True)\ntime.sleep(60)"
    parent = (
        "import os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())]).wait()"
    )
    with subprocess.Popen([PYTHON, "-c", parent], stdout=subprocess.PIPE) as started:
        assert started.stdout
        watched = os.pidfd_open(int(started.stdout.readline()))
        started.send_signal(signal.SIGKILL)
        try:
            assert select.select([watched], [], [], PATIENCE_S)[0], "still there"
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(watched, signal.SIGKILL)
            os.close(watched)


def test_a_child_whose_parent_has_gone_says_so() -> None:
    code = MODULE + "\ndie_with_parent(os.getppid() + 1)"
    done = subprocess.run([PYTHON, "-c", code], check=False, capture_output=True, timeout=60)
    assert b"ProcessLookupError" in done.stderr


def test_what_was_freed_is_overwritten() -> None:
    """A secret that nobody holds any more is not found where it was."""
    places = []
    for size in (32, 64, 96, 160, 300, 479):
        secret = os.urandom(size)
        places.append((id(secret), size, secret[:1] + secret[1:]))  # where, and a copy to compare
        del secret
    overwrite_freed()
    for place, size, was in places:
        assert ctypes.string_at(place + 32, size) != was
