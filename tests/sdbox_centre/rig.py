"""Run a module of the tests in a network namespace of its own; it ends with the child."""

import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000
MS_BIND = 0x1000
_libc = ctypes.CDLL(None, use_errno=True)


def _call(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "unshare or mount")


def own_network(bind: tuple[str, str] | None = None) -> None:
    """In the child: a network of its own, dead when the test is, and one bind mount."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    _call(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
    _call(_libc.mount(None, b"/", None, MS_REC_PRIVATE, None))
    if bind is not None:
        os.makedirs(bind[1], exist_ok=True)
        bind_over(*bind)


def bind_over(source: str, target: str) -> None:
    """In this process's own mount namespace: `target` shows `source`."""
    _call(_libc.mount(source.encode(), target.encode(), None, MS_BIND, None))


def in_own_network(module: str, *arguments: str, timeout_s: float = 60) -> None:
    """Run it and fail with what it said if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
