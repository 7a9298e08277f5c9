"""The issuer's commands: frames as agreed, answers read strictly, each side proved to the other."""

import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from hil.card.card import PivCard
from hil.direct import Direct
from sdbox_agent.card import apdu, piv, tlv
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.errors import DecodeError, Fault
from sdbox_centre import issuercard
from sdbox_centre.issuercard import PivIssuer, decode_public_key
from tests.pki import grown
from tests.sdbox_centre.desking import MANAGEMENT_KEY, minutiae

ALGORITHMS = ("P-256", "P-384", "RSA-2048", "RSA-3072")


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def answer_of(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        inner = tlv.encode(0x81, numbers.n.to_bytes(key.key_size // 8)) + tlv.encode(
            0x82, numbers.e.to_bytes(3)
        )
    else:
        inner = tlv.encode(0x86, point(key))
    return tlv.encode(0x7F49, inner)


KEYS = {
    "P-256": ec.generate_private_key(ec.SECP256R1()).public_key(),
    "P-384": ec.generate_private_key(ec.SECP384R1()).public_key(),
    "RSA-2048": grown.rsa_key().public_key(),
}


@pytest.mark.parametrize("algorithm", list(KEYS))
def test_a_generated_key_is_read_and_nothing_near_it(algorithm) -> None:
    answer = answer_of(KEYS[algorithm])
    assert decode_public_key(answer, algorithm) == KEYS[algorithm]
    for other in ALGORITHMS:
        if other != algorithm:
            with pytest.raises(DecodeError):
                decode_public_key(answer, other)
    for bad in (answer[:-1], answer + b"\x00", b""):
        with pytest.raises(DecodeError):
            decode_public_key(bad, algorithm)


def test_a_point_off_the_curve_and_a_weak_modulus() -> None:
    off = bytearray(answer_of(KEYS["P-256"]))
    off[-1] ^= 1
    with pytest.raises(DecodeError, match="curve"):
        decode_public_key(bytes(off), "P-256")
    n = KEYS["RSA-2048"].public_numbers().n
    for modulus, exponent in ((n + 1, 65537), (n >> 1, 65537), (n, 3), (n, 65538), (n, 1 << 33)):
        inner = tlv.encode(0x81, modulus.to_bytes(256)) + tlv.encode(0x82, exponent.to_bytes(5))
        with pytest.raises(DecodeError, match="RSA"):
            decode_public_key(tlv.encode(0x7F49, inner), "RSA-2048")


@given(st.binary(max_size=400), st.sampled_from(ALGORITHMS))
@example(answer_of(KEYS["P-256"]), "P-256")
@example(tlv.encode(0x7F49, tlv.encode(0x81, b"") + tlv.encode(0x82, b"")), "RSA-2048")
def test_any_bytes_are_a_key_or_a_decode_error(data, algorithm) -> None:
    try:
        key = decode_public_key(data, algorithm)
    except DecodeError:
        return
    assert decode_public_key(answer_of(key), algorithm) == key


def issuer(card: PivCard) -> PivIssuer:
    channel = Direct(card)
    channel.exchange(apdu.frames(piv.select())[0])
    return PivIssuer(channel, secrets.token_bytes)


def test_nothing_is_written_before_both_have_shown_the_key() -> None:
    card = PivCard.create(factory=True, admin_key=MANAGEMENT_KEY)
    made = issuer(card)
    for forbidden in (
        lambda: made.generate("9A", "P-256"),
        lambda: made.put(0x7F61, b"\x02\x01\x00"),
        lambda: made.store_finger(0x96, minutiae("test-finger")),
    ):
        with pytest.raises(Fault, match="card-not-personalised"):
            forbidden()
    made.authenticate(MANAGEMENT_KEY)
    assert isinstance(made.generate("9A", "P-384"), ec.EllipticCurvePublicKey)
    assert isinstance(made.generate("9D", "RSA-2048"), rsa.RSAPublicKey)
    made.store_finger(0x96, minutiae("test-finger"))


def test_a_wrong_management_key_opens_nothing() -> None:
    made = issuer(PivCard.create(factory=True, admin_key=MANAGEMENT_KEY))
    with pytest.raises(Fault, match="card-not-personalised"):
        made.authenticate(bytes(32))
    with pytest.raises(Fault, match="card-not-personalised"):
        made.generate("9A", "P-256")


def test_a_card_without_the_key_is_not_believed() -> None:
    # it gives a witness, takes whatever comes back, and can't encrypt the challenge
    def answer(frame: bytes) -> bytes:
        asked = frame[5:]
        tag = 0x80 if asked.startswith(b"\x7c\x02\x80\x00") else 0x82
        return tlv.encode(0x7C, tlv.encode(tag, bytes(16))) + b"\x90\x00"

    with pytest.raises(Fault, match="card-not-personalised"):
        PivIssuer(ScriptedCard(answer), secrets.token_bytes).authenticate(MANAGEMENT_KEY)


@pytest.mark.parametrize("witness", [b"", bytes(15), bytes(17)])
def test_a_witness_of_another_size(witness) -> None:
    answer = tlv.encode(0x7C, tlv.encode(0x80, witness)) + b"\x90\x00"
    with pytest.raises(DecodeError, match="block"):
        PivIssuer(ScriptedCard(lambda _: answer), secrets.token_bytes).authenticate(MANAGEMENT_KEY)


def test_the_frames_are_those_that_were_agreed() -> None:
    channel = ScriptedCard(lambda _: b"\x90\x00")
    made = PivIssuer(channel, secrets.token_bytes)
    made.put(0x5FC105, b"\x70\x00")
    made.put(0x7F61, b"\x02\x01\x00")
    made.store_finger(0x97, b"abc")
    assert made.change(issuercard.PUK, b"1" * 8, b"2" * 8) == 0x9000
    assert made.reset_pin(b"1" * 8, b"2" * 8) == 0x9000
    assert [frame.hex() for frame in channel.frames] == [
        "00db3fff095c035fc10553027000",
        "00db3fff067f6103020100",
        "00240197" + "03616263",
        "00240081" + "10" + "31" * 8 + "32" * 8,
        "002c0080" + "10" + "31" * 8 + "32" * 8,
    ]
    assert piv.ALGORITHMS.keys() == set(ALGORITHMS)
