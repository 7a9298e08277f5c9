"""A certificate's form, before anybody asks who issued it."""

import contextlib
import datetime as dt

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate
from sdbox_centre import authority
from tests.pki import grown


def issue(key, digest=None, *extensions, signing_key=None, serial=5):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test Form")])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key)
        .serial_number(serial).not_valid_before(grown.NOW)
        .not_valid_after(grown.NOW + grown.DAY)
    )  # fmt: skip
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return authority.der_of(builder.sign(signing_key or authority.new_key(), digest))


def test_issuer_and_serial_are_the_certificates_own_bytes() -> None:
    certificate_der = grown.card().certificates.auth
    oracle = asn1_x509.Certificate.load(certificate_der)
    name = certificate.issuer_and_serial(certificate_der)
    assert name.issuer_der == oracle.issuer.dump()
    assert name.serial == oracle.serial_number


@pytest.mark.parametrize(
    ("kind", "name"), [("p256", "P-256"), ("p384", "P-384"), ("rsa2048", "RSA-2048")]
)
def test_a_key_is_called_as_kinds_of_card_call_it(kind: str, name: str) -> None:
    key = certificate.load(grown.card(kind).certificates.key_management).public_key()
    assert certificate.algorithm(certificate.supported(key)) == name


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_the_cards_certificates_load(kind) -> None:
    for one in vars_of(grown.card(kind).certificates):
        certificate.load(one)


def vars_of(certificates):
    return certificates.auth, certificates.key_management, certificates.card_auth


@pytest.mark.parametrize(
    "key",
    [
        grown.rsa_public(1024),
        grown.rsa_public(2048, exponent=3),
        ec.generate_private_key(ec.SECP224R1()).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
    ],
)  # fault 30
def test_a_key_outside_the_profile_is_refused(key) -> None:
    with pytest.raises(DecodeError):
        certificate.load(issue(key, hashes.SHA256()))


@pytest.mark.parametrize(
    ("signing_key", "digest"),
    [
        (grown.rsa_key, hashes.SHA224()),
        (ed25519.Ed25519PrivateKey.generate, None),
    ],
)  # fault 30
def test_a_signature_algorithm_outside_the_profile_is_refused(signing_key, digest) -> None:
    data = issue(authority.new_key().public_key(), digest, signing_key=signing_key())
    with pytest.raises(DecodeError):
        certificate.load(data)


@pytest.mark.parametrize("old", ["sha1_rsa", "md5_rsa"])
def test_a_broken_digest_is_refused(old) -> None:  # fault 30; no library makes these any more
    data = issue(authority.new_key().public_key(), hashes.SHA256(), signing_key=grown.rsa_key())
    forged = asn1_x509.Certificate.load(data)
    for place in (forged["tbs_certificate"]["signature"], forged["signature_algorithm"]):
        place["algorithm"] = old
    with pytest.raises(DecodeError):
        certificate.load(forged.dump(force=True))


def test_a_megabyte_is_refused_before_it_is_parsed() -> None:  # fault 31
    big = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), bytes(2**20))
    with pytest.raises(DecodeError):
        certificate.load(issue(authority.new_key().public_key(), hashes.SHA256(), big))


def test_more_extensions_than_anybody_needs_are_refused() -> None:
    many = [
        x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{n}"), b"\5\0")
        for n in range(certificate.MAX_EXTENSIONS + 1)
    ]
    key = authority.new_key().public_key()
    certificate.load(issue(key, hashes.SHA256(), *many[1:]))
    with pytest.raises(DecodeError):
        certificate.load(issue(key, hashes.SHA256(), *many))


@pytest.mark.filterwarnings("ignore")  # cryptography only warns
def test_a_serial_of_zero_or_below_is_refused() -> None:
    data = issue(authority.new_key().public_key(), hashes.SHA256())
    at = data.index(b"\xa0\x03\x02\x01\x02\x02\x01\x05") + 7
    for serial in (0x00, 0x85):
        with pytest.raises(DecodeError):
            certificate.load(data[:at] + bytes((serial,)) + data[at + 1 :])


def test_a_second_certificate_under_one_signature_is_refused() -> None:
    # cryptography reads past the count of unused bits, where the last bit of the signature is 0
    good = next(
        data
        for data in (
            grown.issue(grown.card_authority(), grown.rsa_key()).certificates.auth
            for _ in range(99)
        )
        if data[-1] & 1 == 0
    )
    size = len(asn1_x509.Certificate.load(good)["signature_value"].native)
    bad = good[: -size - 1] + b"\x01" + good[-size:]
    twin = x509.load_der_x509_certificate(bad)
    twin.verify_directly_issued_by(grown.card_authority().certificate)
    with pytest.raises(DecodeError):
        certificate.load(bad)


def test_trailing_bytes_are_refused() -> None:
    for data in (grown.card().certificates.auth + b"\0", b"", b"\x30\x00"):
        with pytest.raises(DecodeError):
            certificate.load(data)


def test_absent_extensions_say_nothing() -> None:
    bare = x509.load_der_x509_certificate(issue(authority.new_key().public_key(), hashes.SHA256()))
    assert certificate.usages(bare) == certificate.extended_usages(bare) == frozenset()
    assert certificate.policies(bare) == frozenset()
    assert not certificate.is_authority(bare)


def test_only_an_authority_is_one() -> None:
    issuer = grown.card_authority()
    assert certificate.is_authority(issuer.certificate)
    odd = authority.Profile(frozenset({"key_cert_sign"}))  # the usage without the constraint
    end = issuer.issue(odd, authority.Subject("x"), authority.new_key().public_key(), grown.NOW)
    assert not certificate.is_authority(end)


def test_key_agreement_usages_are_named_in_full() -> None:
    profile = authority.Profile(frozenset({"key_agreement", "decipher_only"}))
    key = authority.new_key().public_key()
    one = grown.card_authority().issue(profile, authority.Subject("x"), key, grown.NOW)
    assert certificate.usages(one) == {"key_agreement", "decipher_only"}


@given(st.data())
def test_load_accepts_or_raises_decode_error(data) -> None:
    good = grown.card(data.draw(st.sampled_from(["p256", "rsa2048"]))).certificates.auth
    at = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.integers(at, min(len(good), at + 4)))
    bad = good[:at] + data.draw(st.binary(max_size=4)) + good[cut:]
    with contextlib.suppress(DecodeError):
        assert isinstance(certificate.load(bad).not_valid_after_utc, dt.datetime)
