"""A person of the rig: two fingers, grown from one seed, alike in nothing."""

import hashlib
from dataclasses import dataclass

from hil.finger import cache
from hil.finger.impression import Impression, impression
from hil.finger.master import Master

# ISO/IEC 19794-2:2005, table of finger position codes.
RIGHT_INDEX = 2
LEFT_INDEX = 7


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who doesn't exist.

    Attributes:
        seed: two persons of different seeds share no finger.
    """

    seed: int

    @property
    def positions(self) -> tuple[int, int]:
        """The enrolled fingers, as ISO/IEC 19794-2 numbers them."""
        return RIGHT_INDEX, LEFT_INDEX

    def finger(self, position: int) -> Master:
        """The master of that finger; ValueError for a finger this person doesn't enrol."""
        if position not in self.positions:
            raise ValueError("only the two index fingers are grown")
        digest = hashlib.sha256(f"person {self.seed} finger {position}".encode()).digest()
        return cache.master(int.from_bytes(digest[:6], "big"))

    def touch(self, position: int, seed: int, quality: str = "ordinary") -> Impression:
        """Lay that finger on the sensor once; see `hil.finger.impression.impression`."""
        return impression(self.finger(position), seed, quality=quality)
