"""What is signed is a statement, under the key's own algorithm; what is unwrapped fits the key."""

import hashlib

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sdbox_agent.card import spki, work
from sdbox_agent.errors import DecodeError
from sdbox_agent.statements import fields, header

PROOF = fields.Proof(box="test-box-01", session="b-1", challenge=bytes(range(32)))
P256, P384 = spki.EcKey(spki.Curve.P256), spki.EcKey(spki.Curve.P384)
RSA = spki.RsaKey(modulus=(1 << 2048) - 1, size_bytes=256)
POINT = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)


@pytest.mark.parametrize(
    ("key", "alg", "hashed"),
    [(P256, "ES256", "sha256"), (P384, "ES384", "sha384"), (RSA, "PS256", "sha256")],
)
def test_the_digest_is_of_the_statement_under_its_header(key, alg, hashed) -> None:
    unsigned = work.unsigned(PROOF, key, b"certificate")
    assert unsigned.payload == fields.encode(PROOF)
    assert msgspec.json.decode(unsigned.protected)["alg"] == alg
    message = header.signing_input(unsigned.protected, unsigned.payload)
    assert unsigned.digest == hashlib.new(hashed, message).digest()
    signed = unsigned.signed(lambda digest: digest[::-1])
    assert (signed.payload, signed.protected) == (unsigned.payload, unsigned.protected)
    assert signed.signature == unsigned.digest[::-1]


def test_what_is_no_statement_is_not_prepared() -> None:
    with pytest.raises(DecodeError):
        work.unsigned(fields.Proof(box="", session="b-1", challenge=b""), P256, b"certificate")


def test_what_fits_the_key_may_be_unwrapped() -> None:
    work.check_wrapped("ecdh", POINT, P256)
    work.check_wrapped("rsa-oaep-sha256", bytes(256), RSA)


@pytest.mark.parametrize(
    ("algorithm", "blob", "key"),
    [
        ("ecdh", POINT[:-1] + bytes([POINT[-1] ^ 1]), P256),  # not on the curve
        ("ecdh", POINT, P384),
        ("ecdh", POINT, RSA),
        ("rsa-oaep-sha256", bytes(255), RSA),
        ("rsa-oaep-sha256", b"\xff" * 256, RSA),  # the modulus itself
        ("rsa-oaep-sha256", bytes(256), P256),
        ("rsa-oaep-sha1", bytes(256), RSA),
    ],
)
def test_nothing_else_may_be(algorithm, blob, key) -> None:
    with pytest.raises(DecodeError):
        work.check_wrapped(algorithm, blob, key)
