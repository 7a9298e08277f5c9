"""One certificate, read strictly: what it must look like before anybody asks who issued it.

It knows form, key and signature algorithm; it knows neither issuers nor dates nor purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.backends.openssl import backend as _backend  # noqa: F401  see below
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

VERSION_3: Final = bytes.fromhex("a003020102")  # RFC 5280 section 4.1.2.1: [0] { INTEGER 2 }

# Ours
MAX_CERTIFICATE_BYTES: Final = 16 * 1024
MAX_EXTENSIONS: Final = 32
CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
RSA_BITS: Final = (2048, 3072, 4096)
RSA_EXPONENT: Final = 65537
SIGNATURE_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

# RFC 5280 section 4.2.1.3, in its order; the last two only say something beside key_agreement
KEY_USAGES: Final = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip

# cryptography imports its backend at the first signature: 5 ms, in a process that is made warm for
# one transaction. Importing it here is the process's beginning, not the person's waiting.

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class IssuerAndSerial:
    """How CMS names a certificate (RFC 5652 section 10.2.4): the issuer's name, DER, and serial."""

    issuer_der: bytes
    serial: int

    def encode(self) -> bytes:
        """IssuerAndSerialNumber."""
        return der.sequence(self.issuer_der, der.integer(self.serial))


def load(certificate_der: bytes) -> x509.Certificate:
    """Read one certificate. Raises DecodeError for anything outside the profile.

    The profile: version 3, DER throughout, at most 16 KiB, positive serial of at most 20 bytes, no
    extension twice, P-256, P-384 or RSA of 2048, 3072 or 4096 bits with exponent 65537, signed
    with ECDSA or RSA over SHA-256, SHA-384 or SHA-512.
    """
    der.check(certificate_der, MAX_CERTIFICATE_BYTES)
    issuer_and_serial(certificate_der)  # version and serial, before a laxer parser sees them
    check_signature_bits(certificate_der)
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        extensions = certificate.extensions  # parsed here, once: cryptography does it on demand
        key = certificate.public_key()
        hash_algorithm = certificate.signature_hash_algorithm
        _ = (certificate.subject, certificate.issuer)
        _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except Exception:  # noqa: BLE001  ValueError, TypeError, UnsupportedAlgorithm, DuplicateExtension, …
        raise DecodeError("certificate") from None
    if len(extensions) > MAX_EXTENSIONS:
        raise DecodeError("certificate: too many extensions")
    if not isinstance(hash_algorithm, SIGNATURE_HASHES):
        raise DecodeError("certificate: signature algorithm")
    supported(key)
    return certificate


def check_signature_bits(signed_der: bytes) -> None:
    """The signature of a certificate or CRL must be whole bytes. Raises DecodeError.

    cryptography ignores how many bits of the last byte are declared unused, so that two
    certificates, with two hashes, would verify with one signature.
    """
    outer = der.Reader(signed_der).enter()
    outer.raw()  # what is signed
    outer.raw()  # algorithm
    outer.bits()
    outer.end()


def algorithm(key: PublicKey) -> str:
    """Its name as in cardkind.Algorithm, or one that no kind of card has."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    return {"secp256r1": "P-256", "secp384r1": "P-384"}.get(key.curve.name, key.curve.name)


def key_der(certificate: x509.Certificate) -> bytes:
    """Its key, as `spki`."""
    return spki(certificate.public_key())


def spki(key: PublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo, DER (RFC 5280 section 4.1.2.7): what a key is known by."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def supported(key: object) -> PublicKey:
    """The key itself, if it is of a kind we use. Raises DecodeError."""
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, CURVES):
            return key
        case rsa.RSAPublicKey() if (
            key.key_size in RSA_BITS and key.public_numbers().e == RSA_EXPONENT
        ):
            return key
        case _:
            raise DecodeError("certificate: public key")


def issuer_and_serial(certificate_der: bytes) -> IssuerAndSerial:
    """Issuer and serial as they stand in the certificate, byte for byte. Raises DecodeError."""
    outer = der.Reader(certificate_der)
    tbs = outer.enter().enter()
    outer.end()
    tbs.expect(VERSION_3)
    serial = tbs.integer()
    if serial == 0:
        raise DecodeError("certificate: serial")
    tbs.raw()  # signature algorithm
    if tbs.peek() != der.SEQUENCE:
        raise DecodeError("certificate: issuer")
    return IssuerAndSerial(tbs.raw(), serial)


def usages(certificate: x509.Certificate) -> frozenset[str]:
    """The names of the key usages that are set (RFC 5280 section 4.2.1.3); none if absent."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return frozenset()
    names = KEY_USAGES if usage.key_agreement else KEY_USAGES[:7]
    return frozenset(name for name in names if getattr(usage, name))


def extended_usages(certificate: x509.Certificate) -> frozenset[str]:
    """The dotted extended key usages (RFC 5280 section 4.2.1.12); none if absent."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(purpose.dotted_string for purpose in usage)


def policies(certificate: x509.Certificate) -> frozenset[str]:
    """The dotted certificate policies (RFC 5280 section 4.2.1.4); none if absent."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(policy.policy_identifier.dotted_string for policy in found)


def is_authority(certificate: x509.Certificate) -> bool:
    """True if it may issue certificates (RFC 5280 sections 4.2.1.3 and 4.2.1.9)."""
    return says_authority(certificate) and "key_cert_sign" in usages(certificate)


def says_authority(certificate: x509.Certificate) -> bool:
    """True if its basic constraints say so (RFC 5280 section 4.2.1.9), whatever its key may do."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    return constraints.ca
