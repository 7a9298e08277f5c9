"""What the three statements say (design section 4), and their one encoding.

A payload is the compact JSON of its fields in the order below. Reading one back re-encodes it and
compares, so each statement has exactly one form in bytes. Bytes are base64 (RFC 4648 section 4).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import CHALLENGE_BYTES, SHA256_BYTES, Level

MAX_PAYLOAD_BYTES: Final = 4096

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+\Z")]
Challenge = Annotated[bytes, Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]
Digest = Annotated[bytes, Meta(min_length=SHA256_BYTES, max_length=SHA256_BYTES)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Count = Annotated[int, Meta(ge=0, le=2**31)]


class _Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    box: Name
    session: Name
    challenge: Challenge


class Proof(_Statement, frozen=True, kw_only=True):
    """This card is here, now, in this box (signed with 9E, or 9A where 9A is free)."""


class Receipt(_Statement, frozen=True, kw_only=True):
    """What this session proved, and the tunnel it asks for (signed with 9A and by the box)."""

    enrolment: Name
    reference_sha256: Digest | None = None  # of the sealed bytes as served
    attempt: Count
    level: Level
    project: Name
    wg_public_key: Key
    kem_key_sha256: Digest  # of the ML-KEM-768 key that goes beside the receipt
    utc_s: Annotated[int, Meta(ge=0, le=2**40)]


class Renew(_Statement, frozen=True, kw_only=True):
    """Renewal number `n` (from 1) of this session's lease."""

    n: Count


Statement = Proof | Receipt | Renew
Typ = Literal["proof", "receipt", "renew"]
TYPES: Final[dict[str, type[Statement]]] = {"proof": Proof, "receipt": Receipt, "renew": Renew}
_encoder: Final = msgspec.json.Encoder()


def typ_of(statement: Statement) -> Typ:
    """The short name that stands in messages and, as `sdbox-NAME`, in the JWS header."""
    match statement:
        case Proof():
            return "proof"
        case Receipt():
            return "receipt"
        case Renew():
            return "renew"


def encode(statement: Statement) -> bytes:
    """The payload bytes."""
    return _encoder.encode(statement)


def digest(statement: Statement) -> bytes:
    """What it is known by: around what it says, other bytes may stand and still verify."""
    return hashlib.sha256(encode(statement)).digest()


def parse(typ: str, payload: bytes) -> Statement:
    """Read a payload of type `typ`. Raises DecodeError for any other form than `encode`'s."""
    if typ not in TYPES or len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("not a statement")
    try:
        statement = msgspec.json.decode(payload, type=TYPES[typ])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("statement fields") from None
    if _encoder.encode(statement) != payload:
        raise DecodeError("statement not in its one form")
    return statement
