"""The sealed message: any bytes are a message in its one form or a DecodeError."""

import contextlib
import dataclasses
import functools

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import cms, der, oids
from sdbox_centre import sealing
from tests.fuzz import structure
from tests.pki import grown

DIVISOR = 10  # real keys at work: a tenth of the inputs
MUTATE = structure.mutate
PARSERS = (cms,)
KINDS = ("p256", "p384", "rsa2048")
CONTENT = b"x" * 20
GOOD = {kind: sealing.seal(CONTENT, grown.card(kind).certificates.key_management) for kind in KINDS}
READ = {kind: cms.parse(one) for kind, one in GOOD.items()}
SWAPS = (
    ("p256", der.oid(oids.AUTH_ENVELOPED_DATA), der.oid(oids.SIGNED_DATA)),
    ("p256", der.oid(oids.AES256_GCM), der.oid("2.16.840.1.101.3.4.1.42")),
    ("p256", der.integer(16), der.integer(12)),
    ("p256", der.octets(READ["p256"].nonce), der.octets(bytes(11))),
    ("p256", der.octets(READ["p256"].tag), der.octets(bytes(12))),
    ("p256", READ["p256"].recipient.issuer_der, der.octets(b"")),
    ("p256", der.bits(READ["p256"].blob), der.bits(b"\4" + bytes(64))),
    ("p256", der.bits(READ["p256"].blob), der.bits(bytes(33))),
    ("p256", der.octets(READ["p256"].wrapped_key), der.octets(bytes(40))),
    ("p256", der.integer(3), der.integer(2)),
    ("rsa2048", cms._OAEP, der.sequence(der.oid("1.2.840.113549.1.1.1"), b"\5\0")),
    ("rsa2048", der.octets(READ["rsa2048"].blob), der.octets(bytes(256))),
    ("rsa2048", der.octets(READ["rsa2048"].blob), der.octets(bytes(128))),
)
SEEDS: list[bytes] = [
    *GOOD.values(),
    *(structure.swapped(GOOD[kind], old, new) for kind, old, new in SWAPS),
    *(  # for one card by its name, with a key of another kind
        cms.encode(dataclasses.replace(READ[kind], recipient=READ[other].recipient))
        for kind in KINDS
        for other in KINDS
    ),
    # one more element where nothing may follow: only the one form tells
    structure.swapped(GOOD["p256"], der.octets(READ["p256"].tag), der.octets(bytes(16)) + b"\5\0"),
    bytes(cms.MAX_MESSAGE_BYTES + 1),
    b"",
]
TOKENS = [der.oid(one) for one in (oids.AES256_WRAP, oids.SHA256, oids.MGF1, oids.RSAES_OAEP)]


@functools.lru_cache(maxsize=1 << 16)  # most inputs leave the recipient's part as it was
def _key(kind: str, blob: bytes) -> bytes:
    sealed = dataclasses.replace(READ[kind], blob=blob)
    try:
        return grown.card(kind).open(sealed)
    except ValueError:
        return bytes(32)


def target(data: bytes) -> None:
    """Parse; what is accepted encodes to the input, and opens as itself or not at all."""
    try:
        sealed = cms.parse(data)
    except DecodeError:
        return
    assert cms.encode(sealed) == data
    if sealed.algorithm == "ecdh":
        with contextlib.suppress(ValueError):
            cms.key_encryption_key(b"", sealed.blob)
            raise AssertionError("a secret of no size")
    for kind in KINDS:
        certificate_der = grown.card(kind).certificates.key_management
        try:
            cms.check_recipient(sealed, certificate_der)
        except Refused:
            continue
        _opened(sealed, bytes(32), certificate_der)
        _opened(sealed, b"", certificate_der)
        if _opened(sealed, _key(kind, sealed.blob), certificate_der):
            assert data in GOOD.values()
    try:
        cms.check_recipient(sealed, data)
    except Refused:
        return
    raise AssertionError("a message is no certificate")


def _opened(sealed: cms.SealedReference, key: bytes, certificate_der: bytes) -> bool:
    try:
        return cms.decrypt(sealed, key, certificate_der) == CONTENT
    except Refused as error:
        assert error.code == "reference-altered"
        return False
