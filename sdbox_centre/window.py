"""A planned window: for so long, a live lease is held up without its card. No I/O.

Two members of staff sign it beforehand; when it ends is decided once, as it opens, on the gateway's
monotonic clock. It holds no lease longer than itself, nor for longer than MAX_S after the lease's
own end, and nobody who is revoked, taken from a list or put out: it gives time, and no right.
A box needs no word of it but the answer to its next renewal, which is longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_S: Final = 600
NEVER_S: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Planned:
    """As staff signed it, in UTC."""

    from_s: int
    until_s: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A window whose end has been decided."""

    planned: Planned
    ends_s: float  # on the gateway's clock


class Window:
    """The one window that there is, if there is one."""

    def __init__(self) -> None:
        self.opened: Opened | None = None

    def look(self, planned: Planned | None, utc_s: int, mono_s: float) -> None:
        """What staff's newest says. Another than before: the one before is over."""
        if self.opened is not None and self.opened.planned == planned:
            return
        self.opened = None
        if planned is not None and planned.from_s <= utc_s < planned.until_s:
            self.opened = Opened(planned, mono_s + min(planned.until_s - utc_s, MAX_S))

    def held_s(self, ends_s: float) -> float:
        """When a lease is over that would be over at `ends_s`."""
        until_s = NEVER_S if self.opened is None else self.opened.ends_s
        return max(ends_s, min(until_s, ends_s + MAX_S))
