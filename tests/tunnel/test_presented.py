"""Who issued a foreign certificate, as text for a person: nothing in it commands a terminal."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.tunnel.presented import MAX_ISSUER_CHARS, issuer
from tests.fuzz import fuzz_presented

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(issued_by: str) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box")])
    by = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test Inspection"),
            x509.NameAttribute(NameOID.COMMON_NAME, issued_by),
        ]
    )
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(by, name, KEY.public_key(), 1, begin, begin)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def test_the_issuer_is_shown() -> None:
    assert issuer(certificate("Test proxy")) == "CN=Test proxy,O=Test Inspection"


@pytest.mark.parametrize("wild", ["\x1b[2Jclear", "a\nb", "\u202egnp", "\u0000", "\x9b1m"])
def test_what_a_terminal_would_obey_is_escaped(wild: str) -> None:
    shown = issuer(certificate(wild))
    assert shown.isprintable()
    assert "Inspection" in shown


def test_a_long_name_is_cut() -> None:
    shown = issuer(certificate("\u202e" * 21))
    assert len(shown) == MAX_ISSUER_CHARS
    assert shown.endswith("…")


def test_a_certificate_that_is_none_has_no_issuer() -> None:
    assert issuer(b"") == issuer(b"\x30\x00") == issuer(certificate("x")[:-1]) == ""


@given(st.binary(max_size=200))
def test_whatever_is_shown_the_text_is_short_and_printable(data: bytes) -> None:
    fuzz_presented.target(data)
