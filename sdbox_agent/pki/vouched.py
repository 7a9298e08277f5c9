"""What a short-lived TLS certificate rests on: the box's own word, which it carries.

The box's statement key has signed that this TLS key is its (`statements.vouch`); certificate of the
one and that statement stand in an extension of ours. So whoever is shown the certificate sees for
himself whose it is, and believes no table and no authority for it: who has the authority's key
alone can make none.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import certificate as certificates
from sdbox_agent.pki import der, oids
from sdbox_agent.statements import jws, vouch

if TYPE_CHECKING:
    from sdbox_agent.statements.vouch import Vouch

VOUCHED: Final = x509.ObjectIdentifier(oids.VOUCHED)
MAX_BYTES: Final = 8 * 1024  # a statement certificate of 4 KiB at most, and a small statement


def extension(statement_certificate_der: bytes, statement: bytes) -> x509.UnrecognizedExtension:
    """SEQUENCE { the statement key's Certificate, OCTET STRING of the JWS }; not critical."""
    value = der.sequence(statement_certificate_der, der.octets(statement))
    return x509.UnrecognizedExtension(VOUCHED, value)


def parse(value: bytes) -> tuple[bytes, bytes]:
    """Certificate and statement of such an extension. Nothing is verified. Raises DecodeError."""
    der.check(value, MAX_BYTES)
    inside = der.Reader(value).enter()
    if inside.peek() != der.SEQUENCE:
        raise DecodeError("vouched: certificate")
    certificate_der = inside.raw()
    statement = inside.octets()
    inside.end()
    return certificate_der, statement


def opened(statement: bytes, statement_certificate_der: bytes) -> Vouch:
    """Verify and read it. Raises DecodeError."""
    try:
        return vouch.parse(jws.open_payload(vouch.TYP, statement, [statement_certificate_der]))
    except Refused:
        raise DecodeError("vouched: signature") from None


def voucher(shown: x509.Certificate) -> bytes | None:
    """The statement key (SubjectPublicKeyInfo, DER) that vouches for this certificate's key.

    None of a certificate that carries no such word. Raises DecodeError for a word that is about
    another key or name, or that nobody has signed.
    """
    try:
        found = shown.extensions.get_extension_for_oid(VOUCHED).value
    except x509.ExtensionNotFound:
        return None
    if not isinstance(found, x509.UnrecognizedExtension):
        raise DecodeError("vouched: extension")
    certificate_der, statement = parse(found.value)
    said = opened(statement, certificate_der)
    names = [name.value for name in shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if said.key_sha256 != key_sha256(certificates.key_der(shown)) or names != [said.box]:
        raise DecodeError("vouched: for another")
    return certificates.key_der(certificates.load(certificate_der))


def key_sha256(key_info_der: bytes) -> bytes:
    """How a statement names a TLS key (SubjectPublicKeyInfo, DER)."""
    return hashlib.sha256(key_info_der).digest()
