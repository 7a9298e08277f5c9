"""What a process that holds keys does to itself before it reads any [door].

Under systemd the unit says part of it too; a process is as closed without.
"""

from __future__ import annotations

import ctypes
import resource
from typing import Final

PR_SET_DUMPABLE: Final = 4  # prctl(2)


def close_memory() -> None:
    """No core dump, and no debugger of our own uid. Raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
