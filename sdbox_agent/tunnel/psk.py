"""[door] The tunnel's preshared key: what the gateway drew, and what this box alone can open.

WireGuard's own handshake rests on X25519: who records it today may read it once that is broken.
Its preshared key is what holds then. Ours is HKDF-SHA256 (RFC 5869) of an ML-KEM-768 secret
(FIPS 203), salted with random bytes of the gateway. It comes to exist in gateway and helper alone:
who carries salt and ciphertext between them (API, core) lacks the secret, and where ML-KEM should
fail, the salt is still unknown to whoever recorded the cable and can't open that TLS. Another key
in the box's place is found by the receipt, which names the digest of the real one and is signed by
card and box.

Knows no socket and no statement. cryptography draws the randomness of a key and a ciphertext by
itself (hence the door), and hands the shared secret out as `bytes`, which nobody can overwrite; the
private key lies in OpenSSL, which overwrites it when it is let go.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sdbox_agent.errors import Refused

# ours
PSK_BYTES: Final = 32  # wireguard.com/papers/wireguard.pdf, section 5.4
SALT_BYTES: Final = 32  # as long as the hash: RFC 5869 section 3.1
_LABEL: Final = b"sd-box tunnel psk 1"


@dataclass(frozen=True, slots=True)
class Bound:
    """What both ends must agree on, or they get two different keys."""

    receipt_sha256: bytes  # of what card and box signed: session, level, project, both box keys
    box_key: bytes  # WireGuard's public keys
    gateway_key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Offer:
    """What the gateway sends towards the key; worth nothing without the box's private key."""

    salt: bytes
    ciphertext: bytes  # ML-KEM-768


class KemPair:
    """The helper's ML-KEM keys of one session."""

    def __init__(self) -> None:
        self._private = MLKEM768PrivateKey.generate()
        self.public: Final = self._private.public_key().public_bytes_raw()

    def psk(self, offer: Offer, bound: Bound) -> bytearray:
        """The preshared key; its owner wipes it.

        Any ciphertext gives one (FIPS 203 section 6.3, implicit rejection): where it was not made
        for this key, no handshake follows.
        """
        return _derive(self._private.decapsulate(offer.ciphertext), offer, bound)


def encapsulation_key(raw: bytes, named_sha256: bytes) -> MLKEM768PublicKey:
    """The box's public key, which its receipt names.

    Raises Refused: kem-key-mismatch; kem-key-invalid (FIPS 203 section 7.2, the modulus check).
    """
    if hashlib.sha256(raw).digest() != named_sha256:
        raise Refused("kem-key-mismatch")
    try:
        return MLKEM768PublicKey.from_public_bytes(raw)
    except ValueError:
        raise Refused("kem-key-invalid") from None


def make_offer(key: MLKEM768PublicKey, salt: bytes, bound: Bound) -> tuple[Offer, bytearray]:
    """The gateway's side: what to send, and the preshared key, which its owner wipes."""
    secret, ciphertext = key.encapsulate()
    offer = Offer(salt, ciphertext)
    return offer, _derive(secret, offer, bound)


def _derive(secret: bytes, offer: Offer, bound: Bound) -> bytearray:
    """Every part is of fixed length, so their sequence can be read in one way only."""
    parts = (bound.receipt_sha256, bound.box_key, bound.gateway_key, offer.ciphertext)
    psk = bytearray(PSK_BYTES)
    info = b"".join((_LABEL, *parts))
    HKDF(hashes.SHA256(), PSK_BYTES, salt=offer.salt, info=info).derive_into(secret, psk)
    return psk
