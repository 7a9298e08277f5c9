"""How large a packet may be inside the tunnel: from the way's MTU, and from what really passes.

A way that swallows large packets and tells nobody (a black hole) is found by full-size probes
while small ones are answered (RFC 8899). The size only ever falls: the next session asks anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

# RFC 8200 section 5; wireguard.com/papers/wireguard.pdf section 5.4.6; RFC 791, RFC 768
IPV6_LEAST_BYTES: Final = 1280
_OVERHEAD_BYTES: Final = {4: 20 + 8 + 32, 6: 40 + 8 + 32}  # outer IP, UDP, WireGuard
_PADDING_BYTES: Final = 16  # WireGuard pads to a multiple, but for its own MTU's sake
# ours
MOST_BYTES: Final = 1420  # wireguard-go's own; fits 1500 over IPv6
IPV4_LEAST_BYTES: Final = 496  # fits 576
_SIZES: Final = (MOST_BYTES, 1376, 1280, 1200, 960, IPV4_LEAST_BYTES)
TRIES: Final = 5
TRY_S: Final = 0.15  # beyond twice the usual time
CHECK_S: Final = 15.0  # from one proof to the next look


def inside(path_bytes: int, version: int, least_bytes: int) -> int:
    """What fits a way of `path_bytes` over IP `version`, in multiples of the padding."""
    room = path_bytes - _OVERHEAD_BYTES[version]
    if room >= MOST_BYTES:
        return MOST_BYTES
    return max(room - room % _PADDING_BYTES, least_bytes)


@dataclass(slots=True)
class Width:
    """The size in force, from the moment the tunnel is up."""

    mtu_bytes: int
    least_bytes: int  # IPv6 inside takes no less than 1280
    _look_s: float = 0.0  # at once
    _tries: int = 0  # of this look
    _passed: int = 0  # the largest smaller size that was answered in this look
    _narrower: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._narrow_to(self.mtu_bytes)

    @property
    def settled(self) -> bool:
        """Is no look under way?"""
        return self._tries == 0

    def look_now(self, now_s: float) -> None:
        """The way has changed."""
        self._look_s = now_s
        self._tries = self._passed = 0

    def sizes(self, now_s: float, round_trip_s: float) -> tuple[int, ...]:
        """Sizes to probe now, if any. The first try is of the size in force alone.

        When all tries are spent, `mtu_bytes` has become the largest size that was answered; if
        none was, that is no evidence of a narrow way, and the size stays.
        """
        if now_s < self.next_s():
            return ()
        self._look_s = now_s + TRY_S + 2 * round_trip_s
        self._tries += 1
        if self._tries == 1:
            return (self.mtu_bytes,)
        if self._tries <= TRIES:
            return (self.mtu_bytes, *self._narrower)
        if self._passed:
            self._narrow_to(self._passed)
        self.look_now(now_s + CHECK_S)
        return ()

    def answered(self, now_s: float, size_bytes: int) -> None:
        """A probe of that size came back."""
        if size_bytes == self.mtu_bytes:
            self._tries = self._passed = 0
            self._look_s = now_s + CHECK_S
        elif size_bytes in self._narrower:
            self._passed = max(self._passed, size_bytes)

    def wait(self, now_s: float) -> None:
        """Nothing at all is answered at the moment: that says nothing about sizes."""
        if self._look_s <= now_s or self._tries:
            self.look_now(now_s + TRY_S)

    def next_s(self) -> float:
        """When to look again: never, where nothing narrower is left."""
        return math.inf if self.mtu_bytes == self.least_bytes else self._look_s

    def _narrow_to(self, mtu_bytes: int) -> None:
        self.mtu_bytes = mtu_bytes
        self._narrower = tuple(size for size in _SIZES if self.least_bytes <= size < self.mtu_bytes)
