"""A WireGuard handshake initiation of any time we like: wireguard.com/papers/wireguard.pdf, 5.4.2.

wireguard-go stamps its own with the machine's clock, which a test does not set back.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
_IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
_LABEL_MAC1 = b"mac1----"
_TAI64_EPOCH = 2**62 + 10  # cr.yp.to/libtai/tai64.html: ten leap seconds before 1970
RESPONSE_TYPE, RESPONSE_BYTES = 2, 92


def initiation(ours: X25519PrivateKey, gateway: bytes, at_s: int, sender: int = 1) -> bytes:
    """The message that says hello at the wall clock's `at_s`."""
    chain = _hash(_CONSTRUCTION)
    told = _hash(_hash(chain + _IDENTIFIER) + gateway)
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    chain = _kdf(chain, public)[0]
    told = _hash(told + public)
    message = struct.pack("<II", 1, sender) + public
    far = X25519PublicKey.from_public_bytes(gateway)
    for exchanged, said in (
        (ephemeral.exchange(far), ours.public_key().public_bytes_raw()),
        (ours.exchange(far), struct.pack(">QI", _TAI64_EPOCH + at_s, 0)),
    ):
        chain, key = _kdf(chain, exchanged)
        sealed = ChaCha20Poly1305(key).encrypt(bytes(12), said, told)
        told = _hash(told + sealed)
        message += sealed
    mac1 = hashlib.blake2s(message, key=_hash(_LABEL_MAC1 + gateway), digest_size=16).digest()
    return message + mac1 + bytes(16)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def _kdf(chain: bytes, data: bytes) -> tuple[bytes, bytes]:
    """HKDF (RFC 5869) with HMAC-BLAKE2s, two outputs."""
    secret = hmac.digest(chain, data, "blake2s")
    first = hmac.digest(secret, b"\1", "blake2s")
    return first, hmac.digest(secret, first + b"\2", "blake2s")
