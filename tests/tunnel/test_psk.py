"""One key at both ends, from parts that must all be the same; and nobody else has it."""

import dataclasses
import hashlib
import hmac

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import Refused
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES
from sdbox_agent.tunnel import psk

SALT = bytes(range(psk.SALT_BYTES))
BOUND = psk.Bound(b"r" * 32, b"b" * 32, b"g" * 32)
BOX = psk.KemPair()


def digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def offered(box: psk.KemPair = BOX) -> tuple[psk.Offer, bytearray]:
    key = psk.encapsulation_key(box.public, digest(box.public))
    return psk.make_offer(key, SALT, BOUND)


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 sections 2.2 and 2.3, written again; one block is all that is needed."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_both_ends_derive_the_same_key() -> None:
    offer, key = offered()
    assert BOX.psk(offer, BOUND) == key
    assert len(key) == psk.PSK_BYTES
    assert len(BOX.public) == KEM_KEY_BYTES
    assert len(offer.ciphertext) == KEM_CIPHERTEXT_BYTES


def test_it_is_hkdf_of_the_secret_and_of_everything_agreed_on() -> None:
    offer, key = offered()
    secret = BOX._private.decapsulate(offer.ciphertext)
    said = BOUND.receipt_sha256 + BOUND.box_key + BOUND.gateway_key + offer.ciphertext
    assert key == hkdf_sha256(secret, SALT, b"sd-box tunnel psk 1" + said)


def test_no_key_is_made_twice() -> None:
    assert psk.KemPair().public != psk.KemPair().public
    (first, one), (second, other) = offered(), offered()
    assert first.ciphertext != second.ciphertext
    assert one != other


@pytest.mark.parametrize("part", ["receipt_sha256", "box_key", "gateway_key"])
def test_whoever_believes_something_else_gets_another_key(part: str) -> None:
    offer, key = offered()
    for at in range(32 * 8):
        changed = bytearray(getattr(BOUND, part))
        changed[at // 8] ^= 1 << at % 8
        assert BOX.psk(offer, dataclasses.replace(BOUND, **{part: bytes(changed)})) != key


def test_the_parts_are_not_interchangeable() -> None:
    offer, key = offered()
    swapped = psk.Bound(BOUND.receipt_sha256, BOUND.gateway_key, BOUND.box_key)
    assert BOX.psk(offer, swapped) != key


@pytest.mark.parametrize("part", ["salt", "ciphertext"])
def test_each_changed_byte_of_an_offer_is_another_key(part: str) -> None:
    """FIPS 203 section 6.3: a ciphertext that was tampered with gives a secret nobody knows."""
    offer, key = offered()
    seen = {bytes(key)}
    whole = getattr(offer, part)
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1
        seen.add(bytes(BOX.psk(dataclasses.replace(offer, **{part: bytes(changed)}), BOUND)))
    assert len(seen) == 1 + len(range(0, len(whole), 7))


def test_another_box_makes_nothing_of_an_offer() -> None:
    offer, key = offered()
    assert psk.KemPair().psk(offer, BOUND) != key


@given(st.binary(min_size=KEM_CIPHERTEXT_BYTES, max_size=KEM_CIPHERTEXT_BYTES), st.binary())
@example(bytes(KEM_CIPHERTEXT_BYTES), b"")
def test_any_ciphertext_of_its_size_gives_a_key(ciphertext: bytes, salt: bytes) -> None:
    assert len(BOX.psk(psk.Offer(salt, ciphertext), BOUND)) == psk.PSK_BYTES


@given(st.binary(max_size=KEM_KEY_BYTES + 1) | st.just(BOX.public))
@example(b"")
@example(bytes(KEM_KEY_BYTES))
@example(b"\xff" * KEM_KEY_BYTES)  # no coefficient below the modulus
@example(BOX.public[:-1])
@example(BOX.public + b"\x00")
def test_a_key_is_one_or_is_refused(raw: bytes) -> None:
    if _is_one(raw):
        assert psk.encapsulation_key(raw, digest(raw)).public_bytes_raw() == raw
    else:
        with pytest.raises(Refused, match=r"^kem-key-invalid$"):
            psk.encapsulation_key(raw, digest(raw))


def _is_one(raw: bytes) -> bool:
    """FIPS 203 section 7.2, written again: its length, and 768 numbers of 12 bits below q."""
    number = int.from_bytes(raw[:1152], "little")
    below = all((number >> 12 * i) & 0xFFF < 3329 for i in range(768))
    return len(raw) == KEM_KEY_BYTES and below


@given(st.binary(min_size=32, max_size=32))
def test_a_key_that_the_receipt_does_not_name_is_refused(named: bytes) -> None:
    with pytest.raises(Refused, match=r"^kem-key-mismatch$"):
        psk.encapsulation_key(BOX.public, named)


def test_nothing_of_an_offer_is_shown() -> None:
    offer, _ = offered()
    assert "salt" not in f"{offer!r}{offer}{BOX!r}"
