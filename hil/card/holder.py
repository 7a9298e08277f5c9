"""A test holder's card by name: who it is stays the same, its keys and issuer are new each time.

The issuer is a throw-away one of a few lines: a box takes such a card for untrusted unless it is
given the issuer's certificate. Knows nothing of readers and faults.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from hil.card.card import DEFAULT_ALGORITHMS, PivCard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.card import keys
    from hil.card.memory import PinPolicy, VerifyForm

# FIPS 201-3, 4.2.2: id-PIV-cardAuth, which the certificate of 9E carries.
PIV_CARD_AUTH: Final = ObjectIdentifier("2.16.840.1.101.3.6.8")
# Ours.
_NAMES: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:sdbox:test-card")
CARD_LIFE: Final = timedelta(days=4 * 365)
BACKDATED: Final = timedelta(minutes=5)
GROWN_MINUTIAE: Final = 40
DEFAULT_POSITION: Final = 2  # ISO/IEC 19794-2: right index


def guid(name: str) -> uuid.UUID:
    """The card's number: always the same for a name."""
    return uuid.uuid5(_NAMES, name)


def grown_finger(name: str) -> bytes:
    """The reference of a finger nobody has: always the same for a name, ascending Y then X."""
    noise = hashlib.shake_256(f"finger of {name}".encode()).digest(3 * GROWN_MINUTIAE)
    rows = [noise[i : i + 3] for i in range(0, len(noise), 3)]
    rows.sort(key=lambda row: (row[1], row[0]))
    # Type 01 or 10 (ending, bifurcation) in the upper two bits.
    return b"".join(bytes([x, y, (0x80 if t & 0x80 else 0x40) | (t & 0x3F)]) for x, y, t in rows)


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority that lives as long as this process."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls) -> Issuer:
        """A new one, self-signed."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Throw-away test issuer")
        usage = _usage(key_cert_sign=True, crl_sign=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, holder: str, card: PivCard) -> dict[keys.KeyName, bytes]:
        """A certificate for each key of the card, DER."""
        public = card.public_keys()
        return {name: self._one(holder, name, key, card.guid) for name, key in public.items()}

    def _one(
        self, holder: str, name: keys.KeyName, key: keys.PublicKey, number: uuid.UUID
    ) -> bytes:
        elliptic = isinstance(key, ec.EllipticCurvePublicKey)
        usage = _usage(
            digital_signature=name != "9D",
            content_commitment=name == "9C",
            key_agreement=name == "9D" and elliptic,
            key_encipherment=name == "9D" and not elliptic,
        )
        urn = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:uuid:{number}")])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = _builder(_name(holder), self.certificate.subject, key)
        builder = builder.add_extension(usage, critical=True).add_extension(urn, critical=False)
        if name == "9A":
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
            builder = builder.add_extension(purposes, critical=True)
        elif name == "9E":
            builder = builder.add_extension(x509.ExtendedKeyUsage([PIV_CARD_AUTH]), critical=True)
        signed = builder.add_extension(authority, critical=False).sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.DER)


def card_of(
    name: str,
    issuer: Issuer,
    *,
    algorithms: Mapping[keys.KeyName, keys.Algorithm] | None = None,
    pin_policy: PinPolicy = "never",
    match: VerifyForm | None = None,
    fingers: Mapping[str, tuple[int, bytes]] | None = None,
    match_bound: bool = False,
) -> PivCard:
    """The card of a test holder, with certificates; PIN 123456, PUK 12345678.

    Args:
        name: the holder; the same name has the same GUID and, if one is grown, the same finger.
        issuer: who signs.
        algorithms: by key reference; P-256 for 9A, 9D and 9E if absent.
        pin_policy: whether 9A and 9D ask for the PIN.
        match: the card compares fingers, and takes probes in this form.
        fingers: as PivCard.create takes them; if absent and `match` is there, one is grown.
        match_bound: PIN and PUK are blocked.

    Raises:
        ValueError: such a card can't be made.
    """
    if match and not fingers:
        fingers = {"96": (DEFAULT_POSITION, grown_finger(name))}
    card = PivCard.create(
        algorithms=algorithms or DEFAULT_ALGORITHMS,
        pin_policy=pin_policy,
        guid=guid(name),
        fingers=fingers,
        verify=match or "raw",
        match_bound=match_bound,
    )
    card.install(issuer.issue(name, card))
    return card


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: keys.PublicKey) -> x509.CertificateBuilder:
    begin = datetime.now(tz=UTC) - BACKDATED
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin)
    return builder.not_valid_after(begin + CARD_LIFE)


def _usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_encipherment: bool = False,
    key_agreement: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=key_agreement,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
