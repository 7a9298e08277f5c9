"""A box's certification request (RFC 2986), in one fixed profile: written, and read strictly.

Version 1, the subject one common name, a P-256 key, no attribute, signed by that very key with
ECDSA over SHA-256. Nothing is asked for but a certificate on a name: what it says is its issuer's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    load_der_public_key,
)

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der, oids
from sdbox_agent.pki.certificate import spki

VERSION_1: Final = der.integer(0)  # RFC 2986 section 4.1
NO_ATTRIBUTES: Final = der.element(der.CONTEXT | der.CONSTRUCTED)  # [0] IMPLICIT SET OF, empty
ECDSA_SHA256: Final = der.sequence(der.oid(oids.ECDSA_SHA256))  # RFC 5758 section 3.2
# RFC 5480 sections 2 and 2.2: an uncompressed point of P-256, behind what says so
_POINT: Final = der.sequence(der.oid(oids.EC_PUBLIC_KEY), der.oid(oids.P256))
_KEY_BYTES: Final = 91
_COMMON_NAME: Final = der.oid(oids.COMMON_NAME)

# Ours
MAX_CSR_BYTES: Final = 1024  # one of the profile has at most 300
# A DNS-like label: no colon, since RFC 7617 section 2 ends a user's name by one
NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
MAX_NAME_BYTES: Final = 64  # RFC 5280 appendix A.1: ub-common-name


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, by whoever holds the key."""

    box: str
    key: ec.EllipticCurvePublicKey


def information(box: str, key_info_der: bytes) -> bytes:
    """What is to be signed: the name, and the key (SubjectPublicKeyInfo). Raises DecodeError."""
    _check_name(box)
    common_name = der.sequence(_COMMON_NAME, der.utf8(box))
    subject = der.sequence(der.set_of(common_name))
    return der.sequence(VERSION_1, subject, key_info_der, NO_ATTRIBUTES)


def whole(information_der: bytes, signature_der: bytes) -> bytes:
    """The request: what was signed, and its signature (ECDSA-Sig-Value)."""
    return der.sequence(information_der, ECDSA_SHA256, der.bits(signature_der))


def parse(csr_der: bytes) -> Request:
    """Read a request and check that its key signed it. Raises DecodeError."""
    der.check(csr_der, MAX_CSR_BYTES)
    outer = der.Reader(csr_der).enter()
    information_der = outer.raw()
    outer.expect(ECDSA_SHA256)
    signature = outer.bits()
    outer.end()
    reader = der.Reader(information_der).enter()
    reader.expect(VERSION_1)
    box = _subject(reader.enter())
    key = _key(reader.raw())
    reader.expect(NO_ATTRIBUTES)
    reader.end()
    try:
        key.verify(signature, information_der, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise DecodeError("CSR: not signed by its key") from None
    return Request(box, key)


def _subject(names: der.Reader) -> str:
    attributes = names.enter(der.SET)
    names.end()
    attribute = attributes.enter()
    attributes.end()
    attribute.expect(_COMMON_NAME)
    box = attribute.utf8(MAX_NAME_BYTES)
    attribute.end()
    _check_name(box)
    return box


def _check_name(box: str) -> None:
    if not NAME.fullmatch(box):
        raise DecodeError("CSR: name")


def _key(key_info_der: bytes) -> ec.EllipticCurvePublicKey:
    reader = der.Reader(key_info_der).enter()
    reader.expect(_POINT)
    if len(key_info_der) != _KEY_BYTES:  # a compressed point is shorter
        raise DecodeError("CSR: key")
    try:
        key = load_der_public_key(key_info_der)
    except ValueError:  # no point of the curve
        raise DecodeError("CSR: key") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or spki(key) != key_info_der:
        raise DecodeError("CSR: key")
    return key
