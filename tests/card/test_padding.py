"""RSA paddings against cryptography's."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding as oracle
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from sdbox_agent.card import padding
from sdbox_agent.errors import DecodeError
from tests.card.double import key, raw_rsa

OAEP = oracle.OAEP(oracle.MGF1(hashes.SHA256()), hashes.SHA256(), None)
PSS = oracle.PSS(oracle.MGF1(hashes.SHA256()), 32)


def holder(bits: int = 2048) -> rsa.RSAPrivateKey:
    made = key(f"RSA-{bits}", "9D")
    assert isinstance(made, rsa.RSAPrivateKey)
    return made


@pytest.mark.parametrize("bits", [2048, 3072])
@settings(max_examples=15)  # RSA in Python is slow
@given(message=st.binary(max_size=190))
def test_what_cryptography_wraps_is_opened(bits: int, message: bytes) -> None:
    private = holder(bits)
    block = private.public_key().encrypt(message, OAEP)
    assert padding.oaep_decode(raw_rsa(private, block)) == message


@pytest.mark.parametrize("bits", [2048, 3072])
@settings(max_examples=15)  # RSA in Python is slow
@given(message=st.binary(max_size=50), salt=st.binary(min_size=32, max_size=32))
def test_cryptography_accepts_what_is_signed(bits: int, message: bytes, salt: bytes) -> None:
    private = holder(bits)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(message)
    block = padding.pss_encode(digest.finalize(), salt, bits // 8)
    assert len(block) == bits // 8
    private.public_key().verify(raw_rsa(private, block), message, PSS, hashes.SHA256())


def encode(data: bytes, first: int = 0) -> bytes:
    """An OAEP block around any data block DB, well-formed or not."""
    seed = bytes(range(32))
    masked = bytes(a ^ b for a, b in zip(data, padding.mgf1(seed, len(data)), strict=True))
    mask = padding.mgf1(masked, 32)
    return bytes([first]) + bytes(a ^ b for a, b in zip(seed, mask, strict=True)) + masked


EMPTY = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_the_helper_of_these_tests_makes_good_blocks() -> None:
    assert padding.oaep_decode(encode(EMPTY + bytes(189) + b"\x01" + b"k")) == b"k"
    assert padding.oaep_decode(encode(EMPTY + b"\x01" + b"k" * 190)) == b"k" * 190
    assert padding.oaep_decode(encode(EMPTY + bytes(190) + b"\x01")) == b""


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (EMPTY + bytes(189) + b"\x01" + b"k", 1),  # Manger 2001: the first byte
        (EMPTY + bytes(189) + b"\x01" + b"k", 0x80),
        (EMPTY[:-1] + b"\x00" + bytes(189) + b"\x01" + b"k", 0),  # another label
        (EMPTY + bytes(191), 0),  # no 01
        (EMPTY + bytes(100) + b"\x02" + bytes(88) + b"\x01" + b"k", 0),  # other than zeros before
        (EMPTY + b"\xff" + bytes(188) + b"\x01" + b"k", 0),
        (EMPTY + b"\x03" * 191, 0),
    ],
)
def test_all_bad_blocks_give_one_error(data: bytes, first: int) -> None:
    assert len(data) == 223
    with pytest.raises(DecodeError, match=r"^OAEP$"):
        padding.oaep_decode(encode(data, first))


@given(st.binary(min_size=256, max_size=256))
def test_noise_is_refused(block: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^OAEP$"):
        padding.oaep_decode(block)
