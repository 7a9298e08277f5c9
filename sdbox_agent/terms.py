"""Words shared by every room: levels, bands, session numbers, digests."""

from __future__ import annotations

import enum
from typing import Annotated, Final, Literal, NewType

from msgspec import Meta

SessionNumber = NewType(
    "SessionNumber", int
)  # one card insertion on this box, counted from 1 at boot

SHA256_BYTES: Final = 32
CHALLENGE_BYTES: Final = 32
# FIPS 203 table 3, of ML-KEM-768
KEM_KEY_BYTES: Final = 1184
KEM_CIPHERTEXT_BYTES: Final = 1088
KemKey = Annotated[bytes, Meta(min_length=KEM_KEY_BYTES, max_length=KEM_KEY_BYTES)]
KemCiphertext = Annotated[
    bytes, Meta(min_length=KEM_CIPHERTEXT_BYTES, max_length=KEM_CIPHERTEXT_BYTES)
]

PostQuantum = Literal["ml-kem-768"]
POST_QUANTUM: Final = "ml-kem-768"  # what every tunnel's preshared key is made with

Delivered = Literal["policy", "reference", "list"]  # what the centre hands to a box
CarriedBy = Literal["udp", "tls"]  # what WireGuard's packets travel in


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
