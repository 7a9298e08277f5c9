"""The sealed reference's inside: a record signed by the enrolment desk (RFC 5652 SignedData).

One profile: one signer, P-256 and SHA-256, its certificate included and issued directly by an
anchor of the desk, four signed attributes. The last of them, ours, says whose reference this is and
which card's: encryption proves nothing of the kind, for a card's certificate is public. It knows no
biometrics: the record is bytes here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, der, oids, revocation
from sdbox_agent.pki.holder import CardCertificates, CardHashes

if TYPE_CHECKING:
    from collections.abc import Sequence

# Standards'
_VERSION_1: Final = der.integer(1)  # RFC 5652 sections 5.1 and 5.3: id-data, issuer and serial
_EXPLICIT_0: Final = der.CONTEXT | der.CONSTRUCTED | 0
_SHA256: Final = der.sequence(der.oid(oids.SHA256))  # RFC 5754 section 2: parameters absent
_ECDSA_SHA256: Final = der.sequence(der.oid(oids.ECDSA_SHA256))  # RFC 5758 section 3.2
_CONTENT_TYPE: Final = der.sequence(der.oid(oids.CONTENT_TYPE), der.set_of(der.oid(oids.DATA)))
FINGER_POSITIONS: Final = range(1, 11)  # ISO/IEC 19794-2:2005: right thumb .. left little finger

# Ours
MAX_SIGNED_BYTES: Final = 64 * 1024
MAX_NAME_BYTES: Final = 100
MAX_VALIDITY_S: Final = (4 * 365 + 1) * 86400  # four years, of which one is a leap year
FORMAT: Final = "iso-19794-2-2005"
_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_BINDING_VERSION: Final = der.integer(1)


@dataclass(frozen=True, slots=True)
class Binding:
    """What the desk signs beside the record; the times are seconds since 1970, UTC."""

    holder: str
    enrolment: str
    card: CardHashes
    finger_positions: tuple[int, ...]
    not_before_s: int
    not_after_s: int

    def encode(self) -> bytes:
        """The value of our signed attribute."""
        return der.sequence(
            _BINDING_VERSION,
            der.utf8(self.holder),
            der.utf8(self.enrolment),
            der.sequence(
                der.octets(self.card.auth),
                der.octets(self.card.key_management),
                der.octets(self.card.card_auth),
            ),
            der.utf8(FORMAT),
            der.sequence(*(der.integer(position) for position in self.finger_positions)),
            der.time(self.not_before_s),
            der.time(self.not_after_s),
        )


@dataclass(frozen=True, slots=True)
class SignedReference:
    """A message of the profile, read; its signature has not been looked at yet."""

    record: bytes = field(repr=False)
    signer_der: bytes = field(repr=False)
    signing_time_s: int
    binding: Binding = field(repr=False)
    signature: bytes = field(repr=False)  # DER, over `signed_attributes`


@dataclass(frozen=True, slots=True)
class OpenedReference:
    """A reference whose signature, card, enrolment and dates hold."""

    record: bytes = field(repr=False)  # ISO/IEC 19794-2:2005
    holder: str
    enrolment: str
    finger_positions: tuple[int, ...]
    not_before_s: int
    not_after_s: int


def signed_attributes(record: bytes, signing_time_s: int, binding: Binding) -> bytes:
    """What the signature is over: the attributes as a SET OF (RFC 5652 section 5.4)."""
    digest = der.octets(hashlib.sha256(record).digest())
    return der.set_of(
        _CONTENT_TYPE,
        der.sequence(der.oid(oids.SIGNING_TIME), der.set_of(der.time(signing_time_s))),
        der.sequence(der.oid(oids.MESSAGE_DIGEST), der.set_of(digest)),
        der.sequence(der.oid(oids.BINDING), der.set_of(binding.encode())),
    )


def encode(signed: SignedReference) -> bytes:
    """The one DER form of a message: ContentInfo of SignedData (RFC 5652 sections 3 and 5.1)."""
    attributes = signed_attributes(signed.record, signed.signing_time_s, signed.binding)
    signer = der.sequence(
        _VERSION_1,
        certificate.issuer_and_serial(signed.signer_der).encode(),
        _SHA256,
        _implicit_0(attributes),
        _ECDSA_SHA256,
        der.octets(signed.signature),
    )
    content = der.sequence(
        der.oid(oids.DATA), der.element(_EXPLICIT_0, der.octets(signed.record))
    )  # EncapsulatedContentInfo
    message = der.sequence(
        _VERSION_1,
        der.set_of(_SHA256),
        content,
        der.element(_EXPLICIT_0, signed.signer_der),
        der.set_of(signer),
    )
    return der.sequence(der.oid(oids.SIGNED_DATA), der.element(_EXPLICIT_0, message))


def _implicit_0(attributes: bytes) -> bytes:
    return bytes((_EXPLICIT_0,)) + attributes[1:]  # [0] IMPLICIT SET OF


def parse(signed_der: bytes) -> SignedReference:
    """Read a message strictly. Raises DecodeError for any other form than `encode`'s."""
    if len(signed_der) > MAX_SIGNED_BYTES:
        raise DecodeError("reference: too large")
    top = der.Reader(signed_der)
    info = top.enter()
    top.end()
    info.expect(der.oid(oids.SIGNED_DATA))
    message = info.enter(_EXPLICIT_0).enter()
    message.expect(_VERSION_1)
    message.expect(der.set_of(_SHA256))
    content = message.enter()
    content.expect(der.oid(oids.DATA))
    record = content.enter(_EXPLICIT_0).octets()
    signer_der = message.enter(_EXPLICIT_0).raw()
    certificate.load(signer_der)
    signer = message.enter(der.SET).enter()
    signer.expect(_VERSION_1)
    signer.raw()  # the signer's name: compared below, as everything else
    signer.expect(_SHA256)
    signing_time_s, binding = _parse_attributes(signer.enter(_EXPLICIT_0))
    signer.expect(_ECDSA_SHA256)
    signed = SignedReference(record, signer_der, signing_time_s, binding, signer.octets())
    # The digest of the record, the signer's name, the attributes' order, and whatever stood between
    # the fields: all of it is in the one form, or it is not a reference.
    if encode(signed) != signed_der:
        raise DecodeError("reference: not in its one form")
    return signed


def _parse_attributes(attributes: der.Reader) -> tuple[int, Binding]:
    values: dict[str, der.Reader] = {}
    while not attributes.at_end():
        attribute = attributes.enter()
        name = attribute.oid()
        values[name] = attribute.enter(der.SET)  # one there twice is not in the one form
    wanted = {oids.CONTENT_TYPE, oids.MESSAGE_DIGEST, oids.SIGNING_TIME, oids.BINDING}
    if values.keys() != wanted:
        raise DecodeError("reference: attributes")
    return values[oids.SIGNING_TIME].time_s(), _parse_binding(values[oids.BINDING].enter())


def _parse_binding(reader: der.Reader) -> Binding:
    reader.expect(_BINDING_VERSION)
    holder, enrolment = reader.utf8(MAX_NAME_BYTES), reader.utf8(MAX_NAME_BYTES)
    if not _NAME.fullmatch(holder) or not _NAME.fullmatch(enrolment):
        raise DecodeError("reference: name")
    card = reader.enter()
    card_hashes = CardHashes(card.octets(32), card.octets(32), card.octets(32))
    reader.expect(der.utf8(FORMAT))
    listed, positions = reader.enter(), list[int]()
    while not listed.at_end():
        positions.append(listed.integer())
    if not positions or len(set(positions)) != len(positions):
        raise DecodeError("reference: finger positions")
    if not set(positions) <= set(FINGER_POSITIONS):
        raise DecodeError("reference: finger positions")
    not_before_s, not_after_s = reader.time_s(), reader.time_s()
    if not 0 < not_after_s - not_before_s <= MAX_VALIDITY_S:
        raise DecodeError("reference: validity")
    return Binding(holder, enrolment, card_hashes, tuple(positions), not_before_s, not_after_s)


def verify(
    signed_der: bytes,
    anchors_der: Sequence[bytes],
    card_certificates: CardCertificates,
    enrolment: str,
    utc_s: int,
    crls_der: Sequence[bytes] | None = None,
) -> OpenedReference:
    """Read a reference and check that it is this card's, of this enrolment, now.

    In order: form (Refused "reference-malformed"), signature by a desk under one of `anchors_der`
    ("reference-unsigned"), this card's three certificates and `enrolment`
    ("reference-not-for-this-card"), dates ("reference-expired"). The signer's certificate must be
    valid now, and have been when it signed: a reference lives no longer than it. Given `crls_der`,
    the newest list of its anchor must not name it ("reference-unsigned"), nor be missing, over or
    forged (Fault "crl-stale", "crl-invalid"); without, revocation is left to the caller.
    """
    try:
        signed = parse(signed_der)
    except DecodeError:
        raise Refused("reference-malformed") from None
    try:
        path = _check_signer(signed, anchors_der, utc_s)
    except (DecodeError, InvalidSignature):
        raise Refused("reference-unsigned") from None
    if crls_der is not None:
        _check_revocation(path, crls_der, utc_s)
    binding = signed.binding
    if binding.card != card_certificates.hashes() or binding.enrolment != enrolment:
        raise Refused("reference-not-for-this-card")
    if not binding.not_before_s <= utc_s < binding.not_after_s:
        raise Refused("reference-expired")
    return OpenedReference(
        signed.record,
        binding.holder,
        binding.enrolment,
        binding.finger_positions,
        binding.not_before_s,
        binding.not_after_s,
    )


def _check_signer(
    signed: SignedReference, anchors_der: Sequence[bytes], utc_s: int
) -> tuple[x509.Certificate, x509.Certificate]:
    """Anchor and signer. Raises unless a desk signed this that was one then and is one now."""
    signer = certificate.load(signed.signer_der)
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DecodeError("desk: key")
    anchor = _issuer_of(signer, anchors_der)
    if certificate.usages(signer) != {"digital_signature"}:  # so it is no authority either
        raise DecodeError("desk: key usage")
    if certificate.extended_usages(signer) != {oids.USAGE_DESK}:
        raise DecodeError("desk: extended key usage")
    if oids.POLICY_DESK not in certificate.policies(signer):
        raise DecodeError("desk: policy")
    _check_criticals(signer)
    for moment_s in (signed.signing_time_s, utc_s):
        _check_dates(signer, moment_s)
    _check_dates(anchor, utc_s)
    attributes = signed_attributes(signed.record, signed.signing_time_s, signed.binding)
    key.verify(signed.signature, attributes, ec.ECDSA(hashes.SHA256()))
    return anchor, signer


def _check_revocation(
    path: Sequence[x509.Certificate], crls_der: Sequence[bytes], utc_s: int
) -> None:
    try:
        lists = [revocation.parse(crl_der) for crl_der in crls_der]
        revocation.check_path(path, lists, dt.datetime.fromtimestamp(utc_s, dt.UTC))
    except DecodeError:
        raise Fault("crl-invalid") from None
    except Refused:
        raise Refused("reference-unsigned") from None


def _issuer_of(signer: x509.Certificate, anchors_der: Sequence[bytes]) -> x509.Certificate:
    """The anchor whose name and key issued it: two anchors may share a name."""
    for anchor_der in anchors_der:
        anchor = certificate.load(anchor_der)
        if not certificate.is_authority(anchor):
            continue
        try:
            signer.verify_directly_issued_by(anchor)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return anchor
    raise DecodeError("desk: not of an anchor")


def _check_criticals(signer: x509.Certificate) -> None:
    """RFC 5280 section 4.2: a critical extension that is not understood refuses the certificate."""
    understood = (
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.BasicConstraints,
        x509.CertificatePolicies,
    )
    for extension in signer.extensions:
        if extension.critical and not isinstance(extension.value, understood):
            raise DecodeError("desk: critical extension")


def _check_dates(subject: x509.Certificate, moment_s: int) -> None:
    before, after = subject.not_valid_before_utc, subject.not_valid_after_utc
    if not before.timestamp() <= moment_s <= after.timestamp():
        raise DecodeError("desk: dates")
