"""Waiting for what another process, thread or kernel is about to do.

The deadline only tells "late" from "never": a machine under load is slow, and a test that says how
fast something has to be measures it instead.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 30.0
LOOK_S = 0.01


def until(so: Callable[[], T], within_s: float = PATIENCE_S) -> T:
    """What `so` answers as soon as it is true; AssertionError if that never comes."""
    end_s = time.monotonic() + within_s
    while not (answer := so()):
        assert time.monotonic() < end_s, f"not so after {within_s:g} s"
        time.sleep(LOOK_S)
    return answer
