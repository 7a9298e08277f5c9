"""RSA paddings (RFC 8017) around a card that only does the bare private operation.

PSS puts on (section 9.1.1), OAEP takes off (section 7.1.2 step 3), both with SHA-256, MGF1-SHA-256
and an empty label. No library at hand opens OAEP without holding the private key, so it is done
here: one pass over the whole block whatever is in it, one error for every cause, and callers allow
one try a session. Python promises no constant time; one try a card insertion is what stops a
padding oracle (Manger 2001 needs about a thousand).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from sdbox_agent.errors import DecodeError

HASH_BYTES: Final = 32
SALT_BYTES: Final = 32  # RFC 7518 section 3.5: as long as the hash
_EMPTY_LABEL_HASH: Final = hashlib.sha256(b"").digest()


def mgf1(seed: bytes, size: int) -> bytes:
    """`size` bytes of mask (RFC 8017 appendix B.2.1), SHA-256."""
    count = -(-size // HASH_BYTES)
    blocks = (hashlib.sha256(seed + index.to_bytes(4)).digest() for index in range(count))
    return b"".join(blocks)[:size]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def pss_encode(message_hash: bytes, salt: bytes, size_bytes: int) -> bytes:
    """EMSA-PSS of a SHA-256 hash for a modulus of 8 * size_bytes bits (RFC 8017 section 9.1.1)."""
    assert len(message_hash) == HASH_BYTES
    assert len(salt) == SALT_BYTES
    inner = hashlib.sha256(bytes(8) + message_hash + salt).digest()
    block = bytes(size_bytes - SALT_BYTES - HASH_BYTES - 2) + b"\x01" + salt
    masked = bytearray(_xor(block, mgf1(inner, len(block))))
    masked[0] &= 0x7F  # emBits is one less than the modulus: 8 * size_bytes - 1
    return bytes(masked) + inner + b"\xbc"


def oaep_decode(block: bytes) -> bytes:
    """The message in an OAEP block as the card deciphered it (RFC 8017 section 7.1.2 step 3).

    Raises DecodeError, the same for every cause, after the same work.
    """
    masked_seed, masked_data = block[1 : 1 + HASH_BYTES], block[1 + HASH_BYTES :]
    seed = _xor(masked_seed, mgf1(masked_data, HASH_BYTES))
    data = _xor(masked_data, mgf1(seed, len(masked_data)))
    bad = block[0]  # Y must be 0
    bad |= not hmac.compare_digest(data[:HASH_BYTES], _EMPTY_LABEL_HASH)
    looking, start = 1, 0  # looking for the first 01 after zeros, without stopping at it
    for index, byte in enumerate(data[HASH_BYTES:], start=HASH_BYTES + 1):
        is_zero = ((byte - 1) >> 8) & 1
        is_one = (((byte ^ 1) - 1) >> 8) & 1
        start |= index * (looking & is_one)
        bad |= looking & (1 - is_zero) & (1 - is_one)
        looking &= is_zero
    if bad | looking:
        raise DecodeError("OAEP")
    return data[start:]
