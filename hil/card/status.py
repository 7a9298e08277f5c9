"""The application's security status: what was proved to the card since power-on.

SP 800-73-5 part 2, 2.4.2. Gone with the power; knows no key, PIN or finger itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Status:
    """One power-on's; `proved` holds key references: 80 the PIN, 96 and 97 fingers."""

    selected: bool = False
    administrator: bool = False
    proved: set[int] = field(default_factory=set)
    fresh: bool = False  # a PIN or finger since the last use of 9C ("always")

    def prove(self, key: int) -> None:
        """What this reference stands for was there."""
        self.proved.add(key)
        self.fresh = True

    def forget(self, key: int) -> None:
        """It was not, or is no more."""
        self.proved.discard(key)
        self.fresh = False
