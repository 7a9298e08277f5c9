"""Revocation lists: any bytes are one of the profile or a DecodeError; accepting one is a Fault."""

import contextlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.pki import der, revocation
from sdbox_centre import authority
from tests.fuzz import structure
from tests.pki import grown

DIVISOR = 10
MUTATE = structure.mutate
PARSERS = (
    revocation.parse,
    revocation._serial,
    revocation.accept,
    revocation.check_signature,
    revocation.check_number,
    revocation.check_fresh,
)
OWN = grown.card_authority()
NAMESAKE = authority.authority("Test Card Authority", grown.NOW - grown.DAY)
AUTHORITIES = [grown.desk_authority().certificate_der, OWN.certificate_der]
HIGHEST = 2


def _built(*extensions, entry=None, digest=None) -> bytes:
    revoked = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(grown.NOW)
    if entry is not None:
        revoked = revoked.add_extension(entry, critical=False)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(OWN.certificate.subject)
        .last_update(grown.NOW - grown.DAY)
        .next_update(grown.NOW + grown.DAY)
        .add_revoked_certificate(revoked.build())
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(OWN.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)


GOOD = [
    OWN.crl(2, grown.NOW),
    OWN.crl(3, grown.NOW, {7: grown.NOW}),
    _built(x509.CRLNumber(3), entry=x509.CRLReason(x509.ReasonFlags.certificate_hold)),
]
_TO = der.time(int((grown.NOW + authority.CRL_LIFE).timestamp()))
SEEDS: list[bytes] = [
    *GOOD,
    OWN.crl(1, grown.NOW),  # a rollback
    OWN.crl(4, grown.NOW - 9 * grown.DAY),  # over
    OWN.crl(4, grown.NOW + grown.DAY),  # of the future
    NAMESAKE.crl(4, grown.NOW),  # a forger of the same name
    _built(),
    _built(x509.CRLNumber(3), x509.DeltaCRLIndicator(2)),
    _built(x509.CRLNumber(3), entry=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2"), b"")),
    _built(x509.CRLNumber(3), digest=hashes.SHA224()),
    structure.swapped(GOOD[0], _TO, b""),
    structure.swapped(GOOD[0], _TO, der.time(0)),
    structure.swapped(GOOD[1], der.integer(7), der.octets(b"7")),
    OWN.certificate_der,
    b"",
]
TOKENS = [der.oid(f"2.5.29.{arc}") for arc in (20, 21, 24, 27, 28, 29, 35, 46)]


def target(data: bytes) -> None:
    """Parse, then accept; nothing but the good seeds themselves is accepted."""
    with contextlib.suppress(DecodeError):
        assert isinstance(revocation.parse(data).revoked, frozenset)
    for highest in (None, HIGHEST):
        with contextlib.suppress(Fault):
            crl = revocation.accept(data, AUTHORITIES, grown.NOW, highest)
            assert data in SEEDS
            assert highest is None or crl.number >= HIGHEST
