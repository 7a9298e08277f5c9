"""What a box's statement key says of a TLS key: it is this box's, and the centre asked just now.

Not one of the statements of `fields`: those are what a card may be given to sign, and no card signs
this one. Its one encoding is made as theirs are.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from sdbox_agent.errors import DecodeError
from sdbox_agent.statements.fields import (  # noqa: TC001  msgspec reads annotations at run time
    Challenge,
    Digest,
    Name,
)

TYP: Final = "vouch"  # `sdbox-vouch` in the header
MAX_PAYLOAD_BYTES: Final = 512
_encoder: Final = msgspec.json.Encoder()


class Vouch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signed with the statement key alone; `key_sha256` of the TLS key's SubjectPublicKeyInfo."""

    box: Name
    challenge: Challenge
    key_sha256: Digest


def encode(said: Vouch) -> bytes:
    """The payload bytes."""
    return _encoder.encode(said)


def parse(payload: bytes) -> Vouch:
    """Read a payload. Raises DecodeError for any other form than `encode`'s."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("not a vouching")
    try:
        said = msgspec.json.decode(payload, type=Vouch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("vouching fields") from None
    if _encoder.encode(said) != payload:
        raise DecodeError("vouching not in its one form")
    return said
