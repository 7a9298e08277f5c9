"""Whose a short certificate is, from itself: the word of the very key, name and statement key."""

import contextlib

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, chain, der, vouched
from sdbox_centre import authority
from tests.pki import boxed, grown, vouching
from tests.pki.vouching import carrying, said, signed, statement_der

OTHER = boxed.key("other")


def test_it_is_the_statement_keys_that_signed_for_it() -> None:
    shown = vouching.whole()
    assert vouched.voucher(shown) == boxed.key("statement").public_key_der
    der_ = authority.der_of(shown)
    assert vouched.voucher(certificate.load(der_)) == boxed.key("statement").public_key_der
    given_ = chain.authorities([boxed.box_authority().certificate_der])
    chain.find(der_, boxed.PROFILES["tls"].policies[0], given_, grown.NOW)  # a path as any other's


def test_one_without_a_word_is_nobodys_but_its_own() -> None:
    assert vouched.voucher(boxed.issued("tls")) is None


def test_whoever_has_another_statement_key_is_another_box() -> None:
    own = statement_der("other")
    shown = carrying(vouched.extension(own, signed(said(boxed.key()), own, OTHER)))
    assert vouched.voucher(shown) == OTHER.public_key_der  # and nobody's act names that


@pytest.mark.parametrize(
    "what", ["another key", "another name", "another's signature", "another type", "a receipt"]
)
def test_a_word_that_does_not_hold_is_refused(what: str) -> None:
    own, by = statement_der(), boxed.key("statement")
    body, typ = said(boxed.key()), "vouch"
    match what:
        case "another key":
            body = said(OTHER)
        case "another name":
            body = said(boxed.key(), box="test-box-02")
        case "another's signature":
            by = OTHER
        case "another type":
            typ = "renew"
        case _:
            typ = "receipt"
    shown = carrying(vouched.extension(own, signed(body, own, by, typ)))
    with pytest.raises(DecodeError):
        vouched.voucher(shown)


def test_a_box_by_any_other_name_is_not_it() -> None:
    own = statement_der()
    word = vouched.extension(own, signed(said(boxed.key()), own, boxed.key("statement")))
    for subject in (
        authority.Subject("test-box-02", (x509.DNSName("test-box-02"),)),
        authority.Subject("", ()),
    ):
        with contextlib.suppress(ValueError):  # a name of no letters is written by nobody
            shown = carrying(word, subject=subject)
            with pytest.raises(DecodeError):
                vouched.voucher(shown)


def test_another_extension_in_its_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouched, "VOUCHED", x509.KeyUsage.oid)
    with pytest.raises(DecodeError, match="vouched: extension"):
        vouched.voucher(boxed.issued("tls"))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        der.sequence(),
        der.sequence(der.octets(b"no certificate"), der.octets(b"")),
        der.sequence(der.sequence(), der.utf8("no octets")),
        der.sequence(der.sequence(), der.octets(b""), der.octets(b"and more")),
        der.sequence(der.sequence(), der.octets(bytes(vouched.MAX_BYTES))),
    ],
)
def test_what_is_not_of_its_form_is_refused(value: bytes) -> None:
    with pytest.raises(DecodeError):
        vouched.parse(value)
    with pytest.raises(DecodeError):
        vouched.voucher(carrying(x509.UnrecognizedExtension(vouched.VOUCHED, value)))


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_what_is_written_is_read_back(inside: bytes, statement: bytes) -> None:
    carried = vouched.extension(der.sequence(der.octets(inside)), statement)
    assert vouched.parse(carried.value) == (der.sequence(der.octets(inside)), statement)


@given(st.binary())
def test_anything_else_is_a_decode_error(value: bytes) -> None:
    with contextlib.suppress(DecodeError):
        certificate_der, statement = vouched.parse(value)
        assert vouched.extension(certificate_der, statement).value == value
