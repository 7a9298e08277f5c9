"""When the centre is asked again: not before it said, and not by all boxes at the same time.

After a power cut all boxes of a place start at once, and after an outage all of them wait for the
same centre. Each draws a share of its own. A person who stands there is never made to wait by this:
only first calls that nobody asked for, and calls that are made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

POWER_UP_S: Final = 180.0  # the machine has just started, and with it all others of the place
FIRST_SPREAD_S: Final = 20.0  # over which they come
SPREAD: Final = 0.5  # of any wait: up to half as much again


class Patience:
    """`now_s` is a monotonic clock; `share` draws from 0 to 1."""

    def __init__(self, now_s: Callable[[], float], share: Callable[[], float]) -> None:
        self._now_s = now_s
        self._share = share
        self._not_before_s = float("-inf")

    def busy(self, retry_after_s: float) -> None:
        """The centre has too much to do, and said for how long."""
        self._not_before_s = self._now_s() + retry_after_s

    def first_s(self, uptime_s: float = 0.0) -> float:
        """The wait before a first call that nobody waits for; none on a machine long up."""
        return FIRST_SPREAD_S * self._share() if uptime_s < POWER_UP_S else 0.0

    def again_s(self, after_s: float) -> float:
        """The wait before another try, wanted in `after_s`."""
        wanted_s = max(after_s, self._not_before_s - self._now_s())
        return wanted_s * (1 + SPREAD * self._share())
