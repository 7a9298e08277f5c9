"""The card's private keys and the three raw operations PIV has for them.

Knows algorithm identifiers (SP 800-78-5, table 9) and key references (SP 800-73-5 part 1, table 5).
Does not know who may use a key, nor any APDU. Keys are random on each run; nothing here is stored.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

Algorithm: TypeAlias = Literal["P-256", "P-384", "RSA-2048", "RSA-3072"]
KeyName: TypeAlias = Literal["9A", "9C", "9D", "9E"]
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

KEY_NAMES: Final[tuple[KeyName, ...]] = get_args(KeyName)
# SP 800-73-5 part 1, table 5: key references.
REFERENCES: Final[dict[int, KeyName]] = {int(name, 16): name for name in KEY_NAMES}
# SP 800-78-5, table 9: algorithm identifiers.
IDENTIFIERS: Final[dict[Algorithm, int]] = {
    "RSA-3072": 0x05,
    "RSA-2048": 0x07,
    "P-256": 0x11,
    "P-384": 0x14,
}
_CURVES: Final[dict[str, Algorithm]] = {"secp256r1": "P-256", "secp384r1": "P-384"}
_RSA_SIZES: Final[dict[int, Algorithm]] = {2048: "RSA-2048", 3072: "RSA-3072"}
# SP 800-78-5, table 3: the digest that goes with each curve; both have the width of its order.
_DIGESTS: Final[dict[int, hashes.HashAlgorithm]] = {256: hashes.SHA256(), 384: hashes.SHA384()}


class KeyInputError(ValueError):
    """What was given to a key is not something it can work on."""


def generate(algorithm: Algorithm) -> PrivateKey:
    """A fresh key. P-256 takes well under a millisecond, RSA-3072 some hundreds."""
    match algorithm:
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "RSA-2048":
            return rsa.generate_private_key(65537, 2048)
        case "RSA-3072":
            return rsa.generate_private_key(65537, 3072)


def algorithm_of(key: PrivateKey | PublicKey) -> Algorithm:
    """Which of the four this key is for.

    Raises:
        KeyInputError: none of them.
    """
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        found = _RSA_SIZES.get(key.key_size)
    else:
        found = _CURVES.get(key.curve.name)
    if found is None:
        raise KeyInputError("a key PIV does not use")
    return found


def sign(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """ECDSA over a digest as wide as the curve's order; a DER Ecdsa-Sig-Value.

    Raises:
        KeyInputError: the digest has another width (SP 800-73-5 part 2, appendix A.4.2).
    """
    algorithm = _DIGESTS[key.key_size]
    if len(digest) != algorithm.digest_size:
        raise KeyInputError("digest of another width than the curve's")
    return key.sign(digest, ec.ECDSA(Prehashed(algorithm)))


def agree(key: ec.EllipticCurvePrivateKey, point: bytes) -> bytes:
    """ECDH: the X coordinate of the product, as wide as the field (SP 800-73-5 part 2, A.5.2).

    Raises:
        KeyInputError: not an uncompressed point of this key's curve.
    """
    # SEC 1, 2.3.3: of this length only the uncompressed form is a point, and that is checked below.
    if len(point) != 1 + 2 * (key.key_size // 8):
        raise KeyInputError("not an uncompressed point of this curve")
    try:
        peer = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
    except ValueError:
        raise KeyInputError("not a point of this curve") from None
    return key.exchange(ec.ECDH(), peer)


def exponentiate(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """Raw RSA, RFC 8017 5.1.2 and 5.2.1 (signing and decryption are the same): no padding at all.

    Raises:
        KeyInputError: the block is not as long as the modulus, or not below it.
    """
    numbers = key.private_numbers()
    n = numbers.public_numbers.n
    value = int.from_bytes(block, "big")
    if len(block) != key.key_size // 8 or value >= n:
        raise KeyInputError("block out of the modulus's range")
    of_p = pow(value, numbers.dmp1, numbers.p)
    of_q = pow(value, numbers.dmq1, numbers.q)
    result = of_q + numbers.q * ((of_p - of_q) * numbers.iqmp % numbers.p)
    return result.to_bytes(len(block), "big")
