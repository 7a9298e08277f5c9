"""The centre's answer to a request: any bytes are certificates of the profile, or a DecodeError."""

import contextlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import boxcertificate, certificate, certsonly, csr, der, oids, successors
from sdbox_centre import authority
from tests.fuzz import structure
from tests.pki import boxed, grown

DIVISOR = 10
MUTATE = structure.mutate
PARSERS = (
    certsonly.parse,
    boxcertificate.pick,
    boxcertificate.check,
    successors.proven,
    successors._is_vouched_for,
    successors._issued,
)
OLD = authority.authority("Test Old Authority", grown.NOW - grown.DAY, path_length=1)
NEW = authority.authority("Test New Authority", grown.NOW - grown.DAY)
WORD = OLD.subordinate("Test New Authority", grown.NOW, key=NEW.key).certificate_der
LEAF = authority.der_of(boxed.issued())
ROOT = boxed.box_authority().certificate_der
ASKED = csr.parse(boxed.request())
PAIR = [x509.load_der_x509_certificate(one) for one in (LEAF, ROOT)]
_SUBJECT = authority.Subject(boxed.BOX)


def envelope(certificate_der: bytes) -> bytes:
    return certsonly.encode(certificate_der)


BENT = [
    boxed.issued("statement"),
    boxed.issued(box="test-box-02"),
    boxed.issued(subject=_SUBJECT),
    boxed.issued(subject=authority.Subject(boxed.BOX, (x509.DNSName("other"),))),
    boxed.issued(by=boxed.key("other")),
    boxed.issued(policies=()),
    boxed.issued(extended_usages=()),
    boxed.issued(usages=frozenset()),
]
SEEDS: list[bytes] = [
    certsonly.encode(LEAF),
    certsonly.encode(LEAF, ROOT),
    certsonly.encode(NEW.certificate_der, WORD),
    certsonly.encode(NEW.certificate_der),
    pkcs7.serialize_certificates(PAIR, Encoding.DER),
    *(envelope(authority.der_of(one)) for one in BENT),
    certsonly.encode(*(authority.der_of(boxed.issued()) for _ in range(9))),
    certsonly.encode(LEAF, LEAF),
    certsonly.encode(),
    LEAF,
    b"",
]
TOKENS = [certsonly.NOTHING, certsonly.NO_CONTENT, der.oid(oids.SIGNED_DATA)]


def target(data: bytes) -> None:
    """What is found is of the profile; what is picked is on the key that was asked for."""
    with contextlib.suppress(DecodeError):
        found = certsonly.parse(data)
        for one in found:
            certificate.load(one)
        assert set(successors.proven([OLD.certificate], found)) <= {NEW.certificate}
        own = boxcertificate.pick(found, ASKED, "tls")
        assert own.public_key() == ASKED.key
        boxcertificate.check(own, boxed.BOX, "tls")
