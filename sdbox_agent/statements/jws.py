"""Statements as JWS, general JSON serialisation (RFC 7515 section 7.2.1).

The protected header is exact, byte for byte: algorithm, type and the signer's certificate are what
the verifier expects, or the signature is refused. That ends algorithm confusion. The JSON around it
has one form too. A signature has not (ECDSA: r, s and r, n-s both verify; a card may sign again),
so "the same statement" is told by what it says, never by a digest of the JWS.
"""

from __future__ import annotations

import base64
import functools
import re
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.statements import fields
from sdbox_agent.statements.header import b64url, protected, signing_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

__all__ = [
    "Jws",
    "Part",
    "algorithm",
    "assemble",
    "b64url",
    "header",
    "open_payload",
    "open_statement",
    "read",
    "signers",
    "signing_input",
    "unb64url",
    "verify",
]

MAX_JWS_BYTES: Final = 16 * 1024
MAX_SIGNATURES: Final = 2  # card, then box; or two of staff
MOST_KEYS: Final = 1024  # that are kept parsed: a box has two, a centre those of its sessions
Kind = TypeVar("Kind", fields.Proof, fields.Receipt, fields.Renew)
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]*")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signature, as it stands in the JSON."""

    protected: str
    signature: str


class Jws(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One payload and who signed it."""

    payload: str
    signatures: tuple[Part, ...]


class _Head(msgspec.Struct, frozen=True):
    """Of a protected header: whose key. The rest is compared whole when it is verified."""

    thumbprint: str = msgspec.field(name="x5t#S256")


def unb64url(text: str) -> bytes:
    """The bytes of a canonical base64url text. Raises DecodeError."""
    raw = text.encode("ascii", "replace")
    if not _BASE64URL.fullmatch(raw) or len(raw) % 4 == 1:
        raise DecodeError("base64url")
    data = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    if b64url(data) != raw:
        raise DecodeError("base64url not canonical")
    return data


def algorithm(key: object) -> str:
    """The one JWS algorithm of a public key (RFC 7518 section 3). Raises Refused."""
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return "ES256"
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            return "ES384"
        case rsa.RSAPublicKey():
            return "PS256"
        case _:
            raise Refused("statement-invalid")


@functools.lru_cache(maxsize=MOST_KEYS)
def _key_of(certificate_der: bytes) -> CertificatePublicKeyTypes:
    """The public key in a certificate. Raises ValueError, which is not kept."""
    return x509.load_der_x509_certificate(certificate_der).public_key()


def header(typ: str, certificate_der: bytes) -> bytes:
    """The protected header of statement `typ` signed with the key of that certificate."""
    return protected(typ, algorithm(_key_of(certificate_der)), certificate_der)


def assemble(payload: bytes, parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The JWS of `payload` with its (protected header, signature) pairs, in order."""
    signatures = tuple(Part(b64url(p).decode(), b64url(s).decode()) for p, s in parts)
    return msgspec.json.encode(Jws(b64url(payload).decode(), signatures))


def open_statement(typ: str, jws: bytes, certificates_der: Sequence[bytes]) -> fields.Statement:
    """Verify and read a statement signed by exactly these certificates' keys, in this order.

    Raises Refused("statement-invalid"): one error for every cause.
    """
    payload = open_payload(typ, jws, certificates_der)
    try:
        return fields.parse(typ, payload)
    except DecodeError:
        raise Refused("statement-invalid") from None


def open_as(kind: type[Kind], jws: bytes, certificates_der: Sequence[bytes]) -> Kind:
    """The same, for one type of statement."""
    statement = open_statement(kind.__name__.lower(), jws, certificates_der)
    if not isinstance(statement, kind):
        raise Refused("statement-invalid")
    return statement


def open_by_one_of(kind: type[Kind], jws: bytes, signers_der: Sequence[bytes]) -> Kind:
    """The same, for one signature that any of these certificates' keys may have made."""
    for certificate_der in signers_der:
        try:
            return open_as(kind, jws, [certificate_der])
        except Refused:
            continue  # the header names its signer, so only one candidate costs a verification
    raise Refused("statement-invalid")


def open_payload(typ: str, jws: bytes, certificates_der: Sequence[bytes]) -> bytes:
    """Verify a JWS of that type, signed by exactly these certificates' keys; what was signed.

    Raises Refused("statement-invalid"): one error for every cause.
    """
    try:
        return _open(typ, jws, certificates_der)
    except (DecodeError, InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise Refused("statement-invalid") from None


def signers(jws: bytes) -> tuple[bytes, ...]:
    """Whose keys it says it was signed with: SHA-256 of their certificates. Nothing is verified.

    Raises DecodeError.
    """
    return tuple(_thumbprint(unb64url(part.protected)) for part in read(jws).signatures)


def _thumbprint(head: bytes) -> bytes:
    try:
        named = msgspec.json.decode(head, type=_Head).thumbprint
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("JWS header") from None
    return unb64url(named)


def read(jws: bytes) -> Jws:
    """The JSON around a payload and its signatures, strictly. Raises DecodeError."""
    if len(jws) > MAX_JWS_BYTES:
        raise DecodeError("JWS too large")
    try:
        parsed = msgspec.json.decode(jws, type=Jws)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("not a JWS") from None
    if msgspec.json.encode(parsed) != jws:
        raise DecodeError("JWS not in its one form")
    return parsed


def _open(typ: str, jws: bytes, certificates_der: Sequence[bytes]) -> bytes:
    parsed = read(jws)
    if not 1 <= len(parsed.signatures) == len(certificates_der) <= MAX_SIGNATURES:
        raise DecodeError("not the expected signatures")
    payload = unb64url(parsed.payload)
    for part, certificate_der in zip(parsed.signatures, certificates_der, strict=True):
        head = unb64url(part.protected)
        if head != header(typ, certificate_der):
            raise DecodeError("not the expected header")
        verify(_key_of(certificate_der), signing_input(head, payload), unb64url(part.signature))
    return payload


def verify(key: object, message: bytes, signature: bytes) -> None:
    """Raise InvalidSignature unless `signature` (r||s; PSS, 32-byte salt) is over `message`."""
    match key:
        case ec.EllipticCurvePublicKey():
            size = (key.curve.key_size + 7) // 8
            if len(signature) != 2 * size:
                raise InvalidSignature
            r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
            digest = hashes.SHA256() if size == 32 else hashes.SHA384()
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
        case rsa.RSAPublicKey():
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
            key.verify(signature, message, pss, hashes.SHA256())
        case _:
            raise InvalidSignature
