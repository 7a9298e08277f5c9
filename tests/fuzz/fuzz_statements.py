"""Payloads of statements, and their JWS."""

import contextlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from tests.pki import grown

DIVISOR = 10
PARSERS = (fields.parse, fields.encode, jws)
MINE = {"box": "test-box-01", "session": "b-1", "challenge": bytes(range(32))}
STATEMENTS = (
    fields.Proof(**MINE),
    fields.Renew(**MINE, n=1),
    fields.Receipt(
        **MINE,
        enrolment="e",
        reference_sha256=bytes(32),
        attempt=1,
        level=Level.HOST_MATCH,
        project="p",
        wg_public_key=bytes(32),
        kem_key_sha256=bytes(32),
        utc_s=1,
    ),
)
KEYS = {  # by certificate
    grown.card("p256").certificates.auth: grown.card("p256").auth,
    grown.card("p384").certificates.key_management: grown.card("p384").key_management,
    grown.card("rsa2048").certificates.key_management: grown.card("rsa2048").key_management,
}
SIGNERS = [[one] for one in KEYS] + [list(KEYS)[:2], [b"not a certificate"]]


def _signature(certificate_der: bytes, message: bytes) -> bytes:
    key = KEYS[certificate_der]
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
        return key.sign(message, pss, hashes.SHA256())
    size = (key.curve.key_size + 7) // 8
    digest = hashes.SHA256() if size == 32 else hashes.SHA384()
    return b"".join(
        n.to_bytes(size) for n in decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
    )


def _signed(statement: fields.Statement, *signers: bytes) -> bytes:
    payload, typ = fields.encode(statement), fields.typ_of(statement)
    parts = []
    for certificate_der in signers:
        head = jws.header(typ, certificate_der)
        parts.append((head, _signature(certificate_der, jws.signing_input(head, payload))))
    return jws.assemble(payload, parts)


ONE = _signed(STATEMENTS[0], SIGNERS[0][0])
HEAD = jws.header("proof", SIGNERS[0][0])
GOOD = [
    *(_signed(statement, *signers) for statement in STATEMENTS for signers in SIGNERS[:-1]),
]
SEEDS: list[bytes] = [
    *map(fields.encode, STATEMENTS),
    *GOOD,
    fields.encode(STATEMENTS[0]).replace(b"{", b"{ ", 1),
    fields.encode(STATEMENTS[0]).replace(b"box", b"bx", 1),
    bytes(fields.MAX_PAYLOAD_BYTES + 1),
    bytes(jws.MAX_JWS_BYTES + 1),
    ONE + b" ",
    ONE.replace(b'"payload":"', b'"payload":"!'),
    ONE.replace(b'"payload":"', b'"payload":"AB"}'),
    ONE.replace(b'"payload":"', b'"payload":"A'),
    jws.assemble(b"{}", [(b"{}", b"s" * 64)]),
    jws.assemble(b"{}", [(HEAD, b"s" * 64)]),
    jws.assemble(b"{}", [(HEAD, b"s" * 63)]),
    jws.assemble(b"{}", [(HEAD, _signature(SIGNERS[0][0], jws.signing_input(HEAD, b"{}")))]),
    jws.assemble(b"{}", []),
    jws.assemble(b"{}", [(b"", b"")] * 3),
    jws.assemble(b"{}", [(b"{}", b"")]).replace(b'"e30"', b'"e31"'),
]
TOKENS = [b'"payload":', b'"signatures":[', b'"protected":', b'"signature":', b'"challenge":']
TOKENS += [b'"box":', b'"session":', b'"attempt":', b'"level":"host-match"', b'"project":', b'"n":']


def target(data: bytes) -> None:
    """A payload has one form; a JWS opens as what was signed, or never."""
    for typ in fields.TYPES:
        with contextlib.suppress(DecodeError):
            assert fields.encode(fields.parse(typ, data)) == data
        for signers in SIGNERS:
            with contextlib.suppress(Refused):
                opened = jws.open_statement(typ, data, signers)
                assert opened in STATEMENTS
                assert data in GOOD
    for kind in fields.TYPES.values():
        with contextlib.suppress(Refused):
            assert isinstance(jws.open_as(kind, data, SIGNERS[0]), kind)
        with contextlib.suppress(Refused):
            assert isinstance(jws.open_by_one_of(kind, data, list(KEYS)), kind)
    with contextlib.suppress(DecodeError):
        text = data.decode("utf-8", "replace")
        assert jws.b64url(jws.unb64url(text)).decode() == text
    with contextlib.suppress(Refused):
        jws.algorithm(data)
    with contextlib.suppress(InvalidSignature):
        jws.verify(data, data, data)
        raise AssertionError("verified without a key")
