"""What a process that holds keys does to itself before it reads any [door].

Under systemd the unit says part of it too; a process is as closed without.
"""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path
from typing import Final

PR_SET_DUMPABLE: Final = 4  # prctl(2)
# mlockall(2). ONFAULT: what is used is locked, not every page of every library.
MCL_CURRENT: Final = 1
MCL_FUTURE: Final = 2
MCL_ONFAULT: Final = 4


def close_memory() -> None:
    """No core dump, and no debugger of our own uid. Raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def lock_memory() -> None:
    """Keep every page we use out of swap. Raises OSError (it needs LimitMEMLOCK=infinity)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        raise OSError(ctypes.get_errno(), "mlockall")


def has_swap() -> bool:
    """Whether the machine has any swap now. Raises OSError."""
    return len(Path("/proc/swaps").read_text("ascii").splitlines()) > 1  # headings come first
