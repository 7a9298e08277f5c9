"""Words shared by every room: levels, bands, session numbers, digests."""

from __future__ import annotations

import enum
from typing import Final, NewType

SessionNumber = NewType(
    "SessionNumber", int
)  # one card insertion on this box, counted from 1 at boot

SHA256_BYTES: Final = 32
CHALLENGE_BYTES: Final = 32


@enum.unique
class Level(enum.StrEnum):
    """What a session proved (design: host-match trusts the box for the comparison)."""

    HOST_MATCH = "host-match"
    CARD_MATCH = "card-match"
    CARD_PIN = "card-pin"


@enum.unique
class Band(enum.StrEnum):
    """How far above the threshold an accepted attempt lay: all that is ever kept of a score."""

    STRONG = "strong"
    FAIR = "fair"
    WEAK = "weak"
