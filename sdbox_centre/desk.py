"""The enrolment desk: signs whose reference a record is, then seals it to that person's card.

The desk's key stays at the desk, in its token: boxes hold the authority that vouches for it, and
the centre's servers, which only store what is sealed here, hold nothing of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.pki import certificate, reference
from sdbox_centre import sealing

if TYPE_CHECKING:
    import datetime as dt

    from sdbox_agent.pki.holder import CardCertificates


@dataclass(frozen=True, slots=True)
class Signer:
    """A desk's key and its certificate. The key may be a foreign object that signs in a token."""

    certificate_der: bytes
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose enrolment this is."""

    holder: str
    enrolment: str
    finger_positions: tuple[int, ...]  # ISO/IEC 19794-2:2005: 1 right thumb .. 10 left little


@dataclass(frozen=True, slots=True)
class Sealed:
    """What goes to the centre: it can open nothing of it."""

    sealed_der: bytes = field(repr=False)
    sha256: bytes
    not_after_s: int


def sign(
    record: bytes,
    card_certificates: CardCertificates,
    subject: Subject,
    now: dt.datetime,
    signer: Signer,
) -> bytes:
    """SignedData of an ISO/IEC 19794-2:2005 record: four years from `now`, or as long as the card.

    Raises ValueError for a subject the format has no room for, and for a desk whose certificate
    would be over before the reference.
    """
    begin_s = int(now.timestamp())
    key_management = certificate.load(card_certificates.key_management)
    card_end_s = int(key_management.not_valid_after_utc.timestamp())
    end_s = min(begin_s + reference.MAX_VALIDITY_S, card_end_s)
    desk_end_s = certificate.load(signer.certificate_der).not_valid_after_utc.timestamp()
    if end_s > desk_end_s:
        raise ValueError("the desk's certificate ends before the reference would")
    binding = reference.Binding(
        subject.holder,
        subject.enrolment,
        card_certificates.hashes(),
        subject.finger_positions,
        begin_s,
        end_s,
    )
    attributes = reference.signed_attributes(record, begin_s, binding)
    signature = signer.key.sign(attributes, ec.ECDSA(hashes.SHA256()))
    signed = reference.SignedReference(record, signer.certificate_der, begin_s, binding, signature)
    message = reference.encode(signed)
    reference.parse(message)  # raises for what no box would read
    return message


def enrol(
    record: bytes,
    card_certificates: CardCertificates,
    subject: Subject,
    now: dt.datetime,
    signer: Signer,
) -> Sealed:
    """Sign a record, then seal it to the card's 9D certificate. Raises as `sign` and `seal`."""
    signed = sign(record, card_certificates, subject, now, signer)
    sealed_der = sealing.seal(signed, card_certificates.key_management)
    not_after_s = reference.parse(signed).binding.not_after_s
    return Sealed(sealed_der, hashlib.sha256(sealed_der).digest(), not_after_s)
