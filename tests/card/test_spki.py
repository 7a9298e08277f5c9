"""Keys in certificates, points on curves: cryptography is the judge."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import spki, tlv
from sdbox_agent.card.spki import Curve, EcKey, RsaKey
from sdbox_agent.errors import DecodeError
from tests.card.double import certificate, key

CURVES = {Curve.P256: ec.SECP256R1(), Curve.P384: ec.SECP384R1()}
FORM = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("curve", Curve)
def test_the_key_of_a_certificate_is_found_ec(curve: Curve) -> None:
    assert spki.of_certificate(certificate(ec.generate_private_key(CURVES[curve]))) == EcKey(curve)


@pytest.mark.parametrize("bits", [2048, 3072])
def test_the_key_of_a_certificate_is_found_rsa(bits: int) -> None:
    holder = key(f"RSA-{bits}", "9D")
    assert isinstance(holder, rsa.RSAPrivateKey)
    modulus = holder.public_key().public_numbers().n
    assert spki.of_certificate(certificate(holder)) == RsaKey(modulus, bits // 8)


@pytest.mark.parametrize(
    "holder",
    [
        ec.generate_private_key(ec.SECP521R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 1024),
    ],
)
def test_a_key_that_piv_does_not_allow_is_refused(holder: ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(DecodeError):
        spki.of_certificate(certificate(holder))


DER = certificate(key("P-256", "9A"))


@given(st.data())
def test_a_damaged_certificate_is_read_or_refused(data: st.DataObject) -> None:
    der = bytearray(DER)
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = spki.of_certificate(bytes(der[: data.draw(st.integers(0, len(der)))]))
    except DecodeError:
        return
    assert found == EcKey(Curve.P256)


@pytest.mark.parametrize("curve", Curve)
def test_points_of_the_curve_are_accepted(curve: Curve) -> None:
    for _ in range(5):
        public = ec.generate_private_key(CURVES[curve]).public_key()
        spki.check_point(curve, public.public_bytes(*FORM))
    assert curve.order == CURVES[curve].group_order


@pytest.mark.parametrize("curve", Curve)
def test_other_points_are_refused(curve: Curve) -> None:
    size = curve.size_bytes
    good = ec.generate_private_key(CURVES[curve]).public_key()
    point = good.public_bytes(*FORM)
    compressed = good.public_bytes(FORM[0], serialization.PublicFormat.CompressedPoint)
    y = int.from_bytes(point[1 + size :])
    bad = [
        b"",
        b"\x00",  # the point at infinity
        compressed,
        b"\x06" + point[1:],  # hybrid
        point[:-1],
        point + b"\x00",
        b"\x04" + bytes(2 * size),
        point[:-1] + bytes([point[-1] ^ 1]),
        point[: 1 + size] + ((y + 1) % curve.p).to_bytes(size),
        b"\x04" + b"\xff" * (2 * size),  # beyond p
    ]
    for candidate in bad:
        with pytest.raises(DecodeError):
            spki.check_point(curve, candidate)


def test_a_point_of_another_curve_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(*FORM)
    with pytest.raises(DecodeError):
        spki.check_point(Curve.P256, other)


def test_a_coordinate_beyond_the_field_is_refused() -> None:
    """X + p stands for the same X, and is another encoding of the same point."""
    p = Curve.P256.p
    for x in range(200):  # look for a point with a small X, so that X + p still fits 32 bytes
        square = (x**3 - 3 * x + Curve.P256.b) % p
        y = pow(square, (p + 1) // 4, p)
        if y * y % p == square:
            break
    spki.check_point(Curve.P256, b"\x04" + x.to_bytes(32) + y.to_bytes(32))
    with pytest.raises(DecodeError):
        spki.check_point(Curve.P256, b"\x04" + (x + p).to_bytes(32) + y.to_bytes(32))


def key_info(algorithm: bytes, bits: bytes, version: int = 0xA0) -> bytes:
    """As much of a certificate as is read, around any key."""
    head = tlv.encode(version, b"") + tlv.encode(0x02, b"\x01") + tlv.encode(0x30, b"") * 4
    info = tlv.encode(0x30, tlv.encode(0x30, algorithm) + tlv.encode(0x03, bits))
    tbs = tlv.encode(0x30, head + info)
    return tlv.encode(0x30, tbs + tlv.encode(0x30, b"") + tlv.encode(0x03, b"\x00"))


P256 = bytes.fromhex("06072A8648CE3D020106082A8648CE3D030107")


def test_only_one_form_of_key_is_read() -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(*FORM)
    assert spki.of_certificate(key_info(P256, b"\x00" + point)) == EcKey(Curve.P256)
    bad = [
        key_info(P256, b"\x00" + point, version=0xA1),  # not a v3 certificate
        key_info(P256, b"\x01" + point),  # bits that are not whole bytes
        key_info(P256, b""),
        key_info(P256[:9], b"\x00" + point),  # no curve
        key_info(P256 + b"\x05\x00", b"\x00" + point),
        key_info(P256[9:] + P256[:9], b"\x00" + point),
    ]
    for certificate_der in bad:
        with pytest.raises(DecodeError):
            spki.of_certificate(certificate_der)
