"""The signed reference: any bytes are one in its one form or a DecodeError; one verifies."""

import contextlib
import dataclasses

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import der, oids, reference
from sdbox_centre import authority, desk
from tests.fuzz import structure
from tests.pki import grown

DIVISOR = 10
MUTATE = structure.mutate
PARSERS = (reference,)
CARD = grown.card().certificates
OWN = grown.desk_authority()
ANCHORS = [grown.card_authority().certificate_der, grown.signer().certificate_der]
ANCHORS += [OWN.certificate_der]
REVOKED = grown.make_signer(OWN)
_SERIAL = x509.load_der_x509_certificate(REVOKED.certificate_der).serial_number
CRLS = [OWN.crl(1, grown.NOW, {_SERIAL: grown.NOW})]
RECORD = b"x" * 20


def _signed(signer: desk.Signer, **changes: object) -> bytes:
    binding = dataclasses.replace(READ.binding, **changes)
    attributes = reference.signed_attributes(RECORD, grown.NOW_S, binding)
    signature = signer.key.sign(attributes, ec.ECDSA(hashes.SHA256()))
    message = reference.SignedReference(
        RECORD, signer.certificate_der, grown.NOW_S, binding, signature
    )
    return reference.encode(message)


def _for(**changes: object) -> desk.Signer:
    return grown.make_signer(OWN, dataclasses.replace(authority.DESK, **changes))


def _critical() -> desk.Signer:
    key = authority.new_key()
    builder = authority._builder("T", key.public_key(), grown.NOW, grown.NOW + grown.DAY)
    builder = builder.issuer_name(OWN.certificate.subject)
    for extension in (
        authority._key_usage(frozenset({"digital_signature"})),
        x509.ExtendedKeyUsage([x509.ObjectIdentifier(oids.USAGE_DESK)]),
        authority._policies([oids.POLICY_DESK]),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"),
    ):
        builder = builder.add_extension(extension, critical=True)
    return desk.Signer(authority.der_of(OWN._sign(builder)), key)


GOOD = desk.sign(RECORD, CARD, grown.SUBJECT, grown.NOW, grown.signer())
READ = reference.parse(GOOD)
P384 = grown.make_signer(OWN, key=ec.generate_private_key(ec.SECP384R1()))
STRANGER = grown.make_signer(authority.authority("Test Desk Authority", grown.NOW))
_NAME, _POSITIONS = der.utf8(READ.binding.holder), der.sequence(der.integer(2), der.integer(7))
_TO = der.time(READ.binding.not_after_s)
SWAPS = (
    (_NAME, der.utf8("a b")),
    (_NAME, der.utf8("a" * 101)),
    (_POSITIONS, der.sequence()),
    (_POSITIONS, der.sequence(der.integer(2), der.integer(2))),
    (_POSITIONS, der.sequence(der.integer(11))),
    (_TO, der.time(grown.NOW_S)),
    (der.oid(oids.SIGNING_TIME), der.oid(oids.BINDING)),
    (der.utf8(reference.FORMAT), der.utf8("iso-19794-2-2011")),
    (der.octets(RECORD), der.octets(RECORD + b"x")),  # only the one form tells: another digest
    (der.oid(oids.SIGNED_DATA), der.oid(oids.DATA)),
)
SEEDS: list[bytes] = [
    GOOD,
    *(structure.swapped(GOOD, old, new) for old, new in SWAPS),
    _signed(grown.signer(), enrolment="another"),
    _signed(grown.signer(), not_before_s=grown.NOW_S + 1),
    _signed(dataclasses.replace(grown.signer(), key=authority.new_key())),
    _signed(REVOKED),
    _signed(P384),
    _signed(STRANGER),
    _signed(_critical()),
    _signed(_for(usages=frozenset({"key_agreement"}))),
    _signed(_for(extended_usages=())),
    _signed(_for(policies=())),
    _signed(grown.make_signer(OWN, not_before=grown.NOW + grown.DAY)),
    bytes(reference.MAX_SIGNED_BYTES + 1),
    b"",
]
TOKENS = [der.oid(one) for one in (oids.CONTENT_TYPE, oids.MESSAGE_DIGEST, oids.BINDING)]


def target(data: bytes) -> None:
    """Parse and verify; nothing but the good seed itself holds."""
    with contextlib.suppress(DecodeError):
        assert reference.encode(reference.parse(data)) == data
    for crls_der in (None, CRLS, [], [data]):
        with contextlib.suppress(Refused, Fault):
            reference.verify(data, ANCHORS, CARD, grown.SUBJECT.enrolment, grown.NOW_S, crls_der)
            assert data == GOOD or (crls_der is None and data in SEEDS)
