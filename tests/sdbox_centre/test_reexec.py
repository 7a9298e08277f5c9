"""A program replaced in its own process: what goes on, what is undone, and the fuse."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sdbox_agent.errors import DecodeError
from sdbox_centre import reexec
from tests.waiting import PATIENCE_S, until


def played(mode: str) -> tuple[int, int, list[str]]:
    """Exit status, the child's pid, and what was said after it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sdbox_centre.replaced", "before", mode],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    pid, *said = done.stdout.splitlines()
    return done.returncode, int(pid), said


def gone(pid: int) -> bool:
    """Dead, whether or not anybody has noticed."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_the_next_program_has_pid_children_descriptors_and_the_text() -> None:
    status, child, (said,) = played("works")
    assert status == 0
    assert json.loads(said) == {
        "text": "handed over",
        "same": True,
        "pipe": "through the pipe",
        "inheritable": False,
        "variable": False,
        "alarm": 0,  # nothing left to burn: `done` took the fuse out
        "came": ["hup"],  # a signal from before there was a handler is not lost, nor deadly
    }
    until(lambda: gone(child))


def test_a_program_that_can_not_be_started_changes_nothing() -> None:
    status, _, (said,) = played("fails")
    assert status == 0
    assert json.loads(said) == {"held": False, "alarm": 0, "inheritable": False}


def test_a_program_that_hangs_ends_with_all_that_is_to_die_with_it() -> None:
    status, child, said = played("hangs")
    assert (status, said) == (-signal.SIGALRM, [])
    until(lambda: gone(child))


def test_without_a_program_before_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(reexec.VARIABLE, raising=False)
    assert reexec.received(100) is None


def memory(text: bytes, seals: int) -> str:
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, text)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return str(descriptor)


def test_only_what_nobody_can_write_any_more_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    writable, too_long = memory(b"x", fcntl.F_SEAL_GROW), memory(bytes(101), reexec.SEALS)
    for number in (writable, too_long, "nonsense", "-1", str(2**20)):
        monkeypatch.setenv(reexec.VARIABLE, number)
        with pytest.raises(DecodeError):
            reexec.received(100)
        assert reexec.VARIABLE not in os.environ
    os.close(int(writable))
