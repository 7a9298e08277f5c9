"""A box's request: one form, signed by its own key, and OpenSSL reads and writes the same."""

import contextlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import csr, der
from sdbox_centre import authority
from tests.pki import boxed

GOOD = boxed.request()
NAMES = st.from_regex(csr.NAME, fullmatch=True)


def openssl(*words: str, given: bytes = b"") -> bytes:
    return subprocess.run(
        ["openssl", *words], input=given, capture_output=True, check=True, timeout=20
    ).stdout


def made(subject, *, key=None, extension=None, digest=None) -> bytes:
    """By another maker of requests."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    signed = builder.sign(key or authority.new_key(), digest or hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def named(name: str) -> list[x509.NameAttribute]:
    return [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]


@given(NAMES)
def test_a_request_says_name_and_key(name: str) -> None:
    read = csr.parse(boxed.request(name))
    assert read == csr.Request(name, boxed.key().private.public_key())


def test_openssl_reads_ours_and_finds_its_signature_good() -> None:
    told = openssl("req", "-inform", "DER", "-noout", "-verify", "-subject", given=boxed.request())
    assert told == b"subject=CN = test-box-01\n"


def test_openssls_is_read(tmp_path) -> None:
    (tmp_path / "key").write_bytes(authority.key_pem(boxed.key().private))
    words = ("-new", "-sha256", "-key", str(tmp_path / "key"), "-subj", "/CN=test-box-01")
    (tmp_path / "conf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    theirs = openssl("req", "-config", str(tmp_path / "conf"), *words, "-outform", "DER")
    assert csr.parse(theirs).box == "test-box-01"


@pytest.mark.parametrize(
    "bad",
    [
        made([]),
        made(named("test-box-01") * 2),
        made([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "test-box-01")]),
        made(named("test box")),
        made(named("-test")),
        made(named("test:box")),
        made(named("test-bôx")),
        made(named("test-box-01"), key=ec.generate_private_key(ec.SECP384R1())),
        made(named("test-box-01"), key=rsa.generate_private_key(65537, 2048)),
        made(named("test-box-01"), digest=hashes.SHA384()),
        made(named("test-box-01"), extension=x509.BasicConstraints(ca=True, path_length=None)),
        boxed.request() + b"\0",
        b"\x30\x82\x04\x01" + bytes(1025),
        b"",
    ],
)
def test_any_other_form_is_refused(bad: bytes) -> None:
    with pytest.raises(DecodeError):
        csr.parse(bad)


def test_another_keys_signature_is_refused() -> None:
    information = csr.information(boxed.BOX, boxed.key().public_key_der)
    with pytest.raises(DecodeError, match="not signed by its key"):
        csr.parse(csr.whole(information, boxed.key("other").sign(information)))


def test_a_signature_of_something_else_is_refused() -> None:
    ours, theirs = (csr.information(box, boxed.key().public_key_der) for box in ("box-1", "box-2"))
    with pytest.raises(DecodeError, match="not signed by its key"):
        csr.parse(csr.whole(ours, boxed.key().sign(theirs)))


@pytest.mark.parametrize(
    "point",
    [
        b"\4" + bytes(64),  # not on the curve
        b"\5" + bytes(64),  # no such form
        b"\6" + boxed.key().public_key_der[27:],  # hybrid: the same point, written otherwise,
        b"\7" + boxed.key().public_key_der[27:],  # as its y is even or odd
        b"\2" + bytes(32),
    ],
)
def test_a_point_that_is_none_is_refused(point: bytes) -> None:
    info = der.sequence(csr._POINT, der.bits(point))
    information = csr.information(boxed.BOX, info)
    with pytest.raises(DecodeError, match="CSR: key"):
        csr.parse(csr.whole(information, boxed.key().sign(information)))


def test_no_request_is_made_on_a_name_no_certificate_bears() -> None:
    for name in ("", "a" * 65, "a b", "a:b", "-a", "a\n"):
        with pytest.raises(DecodeError, match="CSR: name"):
            csr.information(name, boxed.key().public_key_der)


@given(st.data())
def test_one_byte_changed_is_refused(data) -> None:
    good = GOOD
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[at]))
    with pytest.raises(DecodeError):
        csr.parse(good[:at] + bytes([other]) + good[at + 1 :])


@given(st.binary(max_size=400))
def test_any_bytes_are_one_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        csr.parse(data)
