"""The centre's clocks [door]."""

from __future__ import annotations

import time


def utc_s() -> int:
    """Of every date."""
    return int(time.time())  # noqa: TID251  the door


def boottime_s() -> float:
    """Monotonic, and counting while the machine sleeps: a lease does not sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
