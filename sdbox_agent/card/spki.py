"""Which public key a certificate carries, and whether a point is on its curve.

Just enough of X.509 (RFC 5280 section 4.1) for the card worker to say "ES256" and to refuse a bad
point: it decides nothing about the certificate, which the core does with a real X.509 library. A
misread here can only make a signature that nobody accepts. Kept off such a library on purpose: this
process holds key material, and 14 MB.

Everything here is public, so nothing needs constant time.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from sdbox_agent.card import tlv
from sdbox_agent.errors import DecodeError

# RFC 5480 section 2.1.1, RFC 3279 section 2.3.1: object identifiers, DER contents
_EC_PUBLIC_KEY: Final = bytes.fromhex("2A8648CE3D0201")
_RSA_ENCRYPTION: Final = bytes.fromhex("2A864886F70D010101")

# X.690
_SEQUENCE: Final = 0x30
_OID: Final = 0x06
_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_NULL: Final = 0x05
_VERSION: Final = 0xA0  # RFC 5280: [0] EXPLICIT, v3

# SP 800-78-5 table 3-1
RSA_SIZES_BYTES: Final = frozenset({256, 384})


class Curve(enum.Enum):
    """The curves of SP 800-78-5, and their parameters (SP 800-186 section 3.2.1; a = -3)."""

    P256 = (
        bytes.fromhex("2A8648CE3D030107"),
        32,
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    )
    P384 = (
        bytes.fromhex("2B81040022"),
        48,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    )

    def __init__(self, oid: bytes, size_bytes: int, p: int, b: int, order: int) -> None:
        self.oid = oid
        self.size_bytes = size_bytes
        self.p = p
        self.b = b
        self.order = order


@dataclass(frozen=True, slots=True)
class EcKey:
    """A key on `curve`."""

    curve: Curve


@dataclass(frozen=True, slots=True)
class RsaKey:
    """An RSA key; `modulus` is needed to tell a good block from a too large one."""

    modulus: int
    size_bytes: int


PublicKey = EcKey | RsaKey


def check_point(curve: Curve, point: bytes) -> None:
    """Raise DecodeError unless `point` is 04 || X || Y, on the curve (SEC 1 section 2.3.4)."""
    size = curve.size_bytes
    if len(point) != 1 + 2 * size or point[0] != 0x04:
        raise DecodeError("not an uncompressed point")
    x, y = int.from_bytes(point[1 : 1 + size]), int.from_bytes(point[1 + size :])
    p = curve.p
    if x >= p or y >= p or (y * y - (x * x * x - 3 * x + curve.b)) % p:
        raise DecodeError("point not on the curve")


def of_certificate(certificate_der: bytes) -> PublicKey:
    """The public key of a certificate. Raises DecodeError, also for a key PIV does not allow."""
    tbs, _, _ = tlv.sequence(tlv.one(certificate_der, _SEQUENCE), _SEQUENCE, _SEQUENCE, _BIT_STRING)
    items = tlv.parse(tbs)
    # version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
    head = [_VERSION, _INTEGER, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE]
    if [item.tag for item in items[:7]] != head:
        raise DecodeError("not a v3 certificate")
    algorithm, bits = tlv.sequence(items[6].value, _SEQUENCE, _BIT_STRING)
    if bits[:1] != b"\x00":
        raise DecodeError("public key bits")
    match tlv.parse(algorithm):
        case [tlv.Item(tag=0x06, value=oid), parameters]:
            pass
        case _:
            raise DecodeError("public key algorithm")
    if oid == _EC_PUBLIC_KEY and parameters.tag == _OID:
        return _ec(parameters.value, bits[1:])
    if oid == _RSA_ENCRYPTION and parameters == tlv.Item(_NULL, b""):
        return _rsa(bits[1:])
    raise DecodeError("public key algorithm")


def _ec(oid: bytes, point: bytes) -> EcKey:
    for curve in Curve:
        if curve.oid == oid:
            check_point(curve, point)
            return EcKey(curve)
    raise DecodeError("curve not allowed")


def _rsa(key: bytes) -> RsaKey:
    modulus, _ = tlv.sequence(tlv.one(key, _SEQUENCE), _INTEGER, _INTEGER)  # RFC 8017 A.1.1
    size = len(modulus) - 1
    if size not in RSA_SIZES_BYTES or modulus[0] != 0 or not modulus[1] & 0x80:
        raise DecodeError("RSA key size")
    return RsaKey(int.from_bytes(modulus), size)
