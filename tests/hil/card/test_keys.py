"""The raw operations, against cryptography's own."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hil.card.keys import KeyInputError, agree, algorithm_of, exponentiate, generate, sign

P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
CURVES = [("P-256", ec.SECP256R1(), hashes.SHA256()), ("P-384", ec.SECP384R1(), hashes.SHA384())]


def uncompressed(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("algorithm", ["P-256", "P-384", "RSA-2048"])
def test_a_generated_key_is_what_was_asked_for(algorithm: str) -> None:
    key = generate(algorithm)
    assert algorithm_of(key) == algorithm
    assert algorithm_of(key.public_key()) == algorithm


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP521R1()), rsa.generate_private_key(65537, 1024)]
)
def test_keys_piv_does_not_use_have_no_identifier(key: object) -> None:
    with pytest.raises(KeyInputError):
        algorithm_of(key)


@pytest.mark.parametrize(("algorithm", "curve", "digest"), CURVES)
def test_a_signature_verifies_over_the_message_and_no_other(algorithm, curve, digest) -> None:
    key = generate(algorithm)
    hasher = hashes.Hash(digest)
    hasher.update(b"message")
    signature = sign(key, hasher.finalize())
    key.public_key().verify(signature, b"message", ec.ECDSA(digest))
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, b"massage", ec.ECDSA(digest))


@pytest.mark.parametrize("size", [0, 20, 31, 33, 48])
def test_a_digest_of_another_width_is_refused(size: int) -> None:
    with pytest.raises(KeyInputError):
        sign(P256, bytes(size))


@pytest.mark.parametrize(("algorithm", "curve", "digest"), CURVES)
def test_agreement_gives_what_the_other_side_has(algorithm, curve, digest) -> None:
    card, host = generate(algorithm), ec.generate_private_key(curve)
    assert agree(card, uncompressed(host)) == host.exchange(ec.ECDH(), card.public_key())


def test_points_that_are_none_are_refused() -> None:
    good = uncompressed(P256)
    compressed = P256.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    beside = good[:-1] + bytes([good[-1] ^ 1])
    hybrid = bytes([0x06 | good[-1] & 1]) + good[1:]
    other_curve = uncompressed(ec.generate_private_key(ec.SECP384R1()))
    zero = b"\x04" + bytes(64)
    for point in (compressed, beside, hybrid, other_curve, zero, b"\x00", b"", good + b"\x00"):
        with pytest.raises(KeyInputError):
            agree(P256, point)


@given(st.binary(min_size=65, max_size=65))
def test_a_chance_point_is_refused_or_on_the_curve(point: bytes) -> None:
    try:
        agree(P256, b"\x04" + point[1:])
    except KeyInputError:
        return
    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point[1:])


def test_rsa_undoes_what_the_public_key_did() -> None:
    for _ in range(3):
        sealed = RSA.public_key().encrypt(
            b"content key", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        )
        block = exponentiate(RSA, sealed)
        assert len(block) == 256
        again = pow(int.from_bytes(block, "big"), 65537, RSA.public_key().public_numbers().n)
        assert again.to_bytes(256, "big") == sealed


def test_rsa_blocks_out_of_range_are_refused() -> None:
    n = RSA.public_key().public_numbers().n
    for block in (b"", bytes(255), bytes(257), n.to_bytes(256, "big"), b"\xff" * 256):
        with pytest.raises(KeyInputError):
            exponentiate(RSA, block)
    exponentiate(RSA, (n - 1).to_bytes(256, "big"))


def test_a_key_of_another_kind_has_no_place_here() -> None:
    with pytest.raises((KeyInputError, AttributeError)):
        algorithm_of(ed25519.Ed25519PrivateKey.generate())
