"""[door] The clock a lease runs on, and an alarm on it: both go on while the box sleeps.

A selector's own timeout does not: after an hour's sleep it would still wait for the rest of it.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from typing import Final

# <linux/timerfd.h>, <time.h>
_TFD_TIMER_ABSTIME: Final = 1
_TFD_CLOEXEC: Final = os.O_CLOEXEC
_TFD_NONBLOCK: Final = os.O_NONBLOCK
_ITIMERSPEC: Final = struct.Struct("@4l")  # interval, then value: seconds and ns each
# ours
_SOONEST_S: Final = 1e-9  # zero would disarm it

_libc: Final = ctypes.CDLL(None, use_errno=True)


def now_s() -> float:
    """Seconds since the box was started, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Alarm:
    """Readable from a set time on, until it is set again. Raises OSError."""

    def __init__(self) -> None:
        flags = _TFD_CLOEXEC | _TFD_NONBLOCK
        self._descriptor: int = _libc.timerfd_create(time.CLOCK_BOOTTIME, flags)
        _check(self._descriptor)

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._descriptor

    def set(self, at_s: float | None) -> None:
        """Ring at that time, at once if it is past; None: never."""
        value = 0.0 if at_s is None else max(at_s, _SOONEST_S)
        seconds = int(value)
        spec = _ITIMERSPEC.pack(0, 0, seconds, int((value - seconds) * 1e9))
        _check(_libc.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, spec, None))

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
