"""Certificates: any bytes are one of the profile or a DecodeError."""

import contextlib
import dataclasses
import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sdbox_agent.card import spki
from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, der, holder
from sdbox_centre import authority
from tests.fuzz import structure
from tests.pki import grown

DIVISOR = 10
MUTATE = structure.mutate
PARSERS = (certificate, holder, spki.of_certificate, spki._ec, spki._rsa)
PLAIN = dataclasses.replace(authority.CARD_9A, extended_usages=(), policies=())
GUID = f"{holder.URN_UUID}{authority._uuid(grown.GUID)}"
KEY = authority.new_key().public_key()


def _built(*extensions, key=KEY, digest=None, names=("Test",)) -> bytes:
    """Signed by an RSA key, with these extensions and no others."""
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in names]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(x509.Name([]))
        .public_key(key)
        .serial_number(7)
        .not_valid_before(grown.NOW)
        .not_valid_after(grown.NOW + dt.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(grown.rsa_key(), digest or hashes.SHA256()).public_bytes(Encoding.DER)


def _named(*uris: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


GOOD = grown.card().certificates.auth
_READ = certificate.issuer_and_serial(GOOD)
POINT = grown.card().auth.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
SEEDS: list[bytes] = [
    GOOD,
    grown.card("p384").certificates.key_management,
    grown.card("rsa2048").certificates.key_management,
    grown.card_authority().certificate_der,
    _built(names=()),
    _built(names=("Test", "Test")),
    _built(_named(GUID)),
    _built(_named(GUID, GUID)),
    _built(_named(GUID.upper().replace("URN:UUID", "urn:uuid"))),
    _built(_named("urn:uuid:x", "https://centre.test")),
    _built(names=("Test\x1b[2J",)),
    _built(
        *(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{number}"), b"")
            for number in range(certificate.MAX_EXTENSIONS + 1)
        )
    ),
    _built(digest=hashes.SHA224()),
    _built(key=ec.generate_private_key(ec.SECP256K1()).public_key()),
    _built(key=grown.rsa_public(1024)),
    _built(x509.BasicConstraints(ca=True, path_length=None)),
    structure.swapped(GOOD, certificate.VERSION_3, b""),
    structure.swapped(GOOD, der.integer(_READ.serial), der.integer(0)),
    structure.swapped(GOOD, _READ.issuer_der, b"\5\0"),
    structure.swapped(GOOD, der.oid("2.5.29.15"), der.oid("2.5.29.19")),
    structure.swapped(GOOD, der.oid("1.2.840.10045.3.1.7"), b"\5\0"),
    structure.swapped(GOOD, der.oid("1.2.840.10045.3.1.7"), b""),
    structure.swapped(GOOD, der.oid("1.2.840.10045.2.1"), der.oid("1.2.840.113549.1.1.1")),
    structure.swapped(GOOD, der.bits(POINT), der.element(der.BIT_STRING, b"\1", POINT)),
    GOOD[:-1],
    b"",
    bytes(certificate.MAX_CERTIFICATE_BYTES + 1),
]
TOKENS = [der.oid(f"2.5.29.{arc}") for arc in (14, 15, 17, 19, 30, 31, 32, 35, 36, 37)]


def target(data: bytes) -> None:
    """Load it and read everything that is ever read of one; both readers find the same key."""
    card_side = None
    with contextlib.suppress(DecodeError):
        card_side = spki.of_certificate(data)
    try:
        loaded = certificate.load(data)
    except DecodeError:
        return
    for read in (certificate.usages, certificate.extended_usages, certificate.policies):
        assert isinstance(read(loaded), frozenset)
    certificate.is_authority(loaded)
    with contextlib.suppress(DecodeError):
        assert certificate.algorithm(certificate.supported(loaded.public_key()))
    with contextlib.suppress(DecodeError):
        assert len(holder.guid(loaded)) == 16
    with contextlib.suppress(DecodeError):
        assert holder.display_name(loaded).isprintable()
    key = loaded.public_key()
    if isinstance(card_side, spki.RsaKey):
        assert key.public_numbers().n == card_side.modulus
    elif card_side is not None:
        assert key.key_size == 8 * card_side.curve.size_bytes
