"""Certificates in an envelope nobody signed: one form, as OpenSSL reads it too."""

import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certsonly, der, oids
from sdbox_centre import authority
from tests.pki import boxed
from tests.pki.test_csr import openssl

LEAF = authority.der_of(boxed.issued())
ROOT = boxed.box_authority().certificate_der
BOTH = certsonly.encode(LEAF, ROOT)


def enveloped(*, version=1, digests=b"\x31\0", content=None, inside=LEAF, after=b"\x31\0") -> bytes:
    """An envelope like ours but for what is named."""
    signed = der.sequence(
        der.integer(version),
        digests,
        content or der.sequence(der.oid(oids.DATA)),
        der.element(0xA0, inside),
        after,
    )
    return der.sequence(der.oid(oids.SIGNED_DATA), der.element(0xA0, signed))


@given(st.permutations([LEAF, ROOT, authority.der_of(boxed.issued("statement"))]))
def test_what_was_put_in_comes_out(certificates: list[bytes]) -> None:
    assert set(certsonly.parse(certsonly.encode(*certificates))) == set(certificates)
    assert certsonly.encode(*certificates) == certsonly.encode(*reversed(certificates))


def test_openssl_finds_the_same_certificates_in_it() -> None:
    pem = openssl("pkcs7", "-inform", "DER", "-print_certs", given=BOTH)
    found = {authority.der_of(one) for one in x509.load_pem_x509_certificates(pem)}
    assert found == {LEAF, ROOT}


def test_cryptography_reads_ours_and_its_own_is_read() -> None:
    read = {authority.der_of(one) for one in pkcs7.load_der_pkcs7_certificates(BOTH)}
    assert read == {LEAF, ROOT}
    pair = [x509.load_der_x509_certificate(one) for one in (LEAF, ROOT)]
    theirs = pkcs7.serialize_certificates(pair, Encoding.DER)
    assert set(certsonly.parse(theirs)) == {LEAF, ROOT}


def test_openssls_is_read(tmp_path) -> None:
    (tmp_path / "pem").write_bytes(authority.pem_of(x509.load_der_x509_certificate(LEAF)))
    words = ("-nocrl", "-certfile", str(tmp_path / "pem"), "-outform", "DER")
    theirs = openssl("crl2pkcs7", *words)
    # it writes an empty list of lists, which is none of this profile's forms
    empty_lists = der.element(0xA1)
    assert certsonly.parse(theirs) == (LEAF,) or empty_lists in theirs


@pytest.mark.parametrize(
    "bad",
    [
        enveloped(version=3),
        enveloped(digests=der.set_of(der.sequence(der.oid(oids.SHA256)))),
        enveloped(content=der.sequence(der.oid(oids.DATA), der.element(0xA0, der.octets(b"x")))),
        enveloped(content=der.sequence(der.oid(oids.SIGNED_DATA))),
        enveloped(after=der.element(0xA1) + b"\x31\0"),
        enveloped(after=der.set_of(der.sequence(der.integer(1)))),
        enveloped(after=b"\x31\0" + b"\5\0"),
        enveloped(inside=b""),
        enveloped(inside=LEAF + LEAF),
        enveloped(inside=der.sequence(der.integer(1))),
        enveloped(inside=b"".join(authority.der_of(boxed.issued()) for _ in range(9))),
        der.sequence(der.oid(oids.DATA), der.element(0xA0, der.octets(b""))),
        BOTH + b"\0",
        LEAF,
        b"",
    ],
)
def test_any_other_form_is_refused(bad: bytes) -> None:
    with pytest.raises(DecodeError):
        certsonly.parse(bad)


def test_what_is_too_large_is_not_read() -> None:
    with pytest.raises(DecodeError, match="too large"):
        certsonly.parse(enveloped(inside=bytes(certsonly.MAX_BYTES)))


@given(st.binary(max_size=200))
def test_any_bytes_are_one_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        certsonly.parse(data)


def test_the_helpers_envelope_is_ours_when_nothing_is_bent() -> None:
    assert enveloped() == certsonly.encode(LEAF)
