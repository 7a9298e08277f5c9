import base64
import contextlib
import datetime as dt
import functools
import hashlib
import json

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.statements import fields, jws

PROOF = fields.Proof(box="test-box-01", session="b-1", challenge=bytes(range(32)))
KINDS = ("p256", "p384", "rsa")


def key(kind: str, number: int = 0):
    return _grown(kind, number)[0]


def certificate(kind: str, number: int = 0) -> bytes:
    return _grown(kind, number)[1]


def _new_key(kind: str):
    match kind:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(65537, 2048)


@functools.cache
def _grown(kind: str, _number: int):
    made = _new_key(kind)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(
        name, name, made.public_key(), 1, since, since + dt.timedelta(days=1)
    )
    digest = None if kind == "ed25519" else hashes.SHA256()
    return made, builder.sign(made, digest).public_bytes(Encoding.DER)


def sign(kind: str, message: bytes, number: int = 0) -> bytes:
    """As a card and a host do it: by the book, with nothing of the code under test."""
    one = key(kind, number)
    if isinstance(one, rsa.RSAPrivateKey):
        return one.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    digest, size = (hashes.SHA256(), 32) if kind == "p256" else (hashes.SHA384(), 48)
    r, s = decode_dss_signature(one.sign(message, ec.ECDSA(digest)))
    return r.to_bytes(size) + s.to_bytes(size)


def signed(kind: str = "p256", body: fields.Statement = PROOF, number: int = 0) -> bytes:
    payload = fields.encode(body)
    protected = jws.header(fields.typ_of(body), certificate(kind, number))
    signature = sign(kind, jws.signing_input(protected, payload), number)
    return jws.assemble(payload, [(protected, signature)])


def refused():
    return pytest.raises(Refused, match=r"^statement-invalid$")


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_opens_with_its_signers_certificate(kind: str) -> None:
    assert jws.open_as(fields.Proof, signed(kind), [certificate(kind)]) == PROOF


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_certificate_opens_it(kind: str) -> None:
    for other in (certificate(kind, 1), certificate("p384" if kind == "p256" else "p256")):
        with refused():
            jws.open_statement("proof", signed(kind), [other])


def test_one_of_several_signers_is_found() -> None:
    both = [certificate("p256"), certificate("rsa")]
    assert jws.open_by_one_of(fields.Proof, signed("rsa"), both) == PROOF
    with refused():
        jws.open_by_one_of(fields.Proof, signed("p384"), both)


def test_a_statement_of_another_type_is_refused() -> None:
    for typ in ("receipt", "renew"):
        with refused():
            jws.open_statement(typ, signed(), [certificate("p256")])
    with refused():
        jws.open_as(fields.Renew, signed(), [certificate("p256")])


def test_a_proof_signed_under_a_receipts_header_is_refused() -> None:
    payload = fields.encode(PROOF)
    protected = jws.header("receipt", certificate("p256"))
    forged = jws.assemble(
        payload, [(protected, sign("p256", jws.signing_input(protected, payload)))]
    )
    for typ in fields.TYPES:
        with refused():
            jws.open_statement(typ, forged, [certificate("p256")])


def test_every_flipped_bit_is_refused() -> None:
    whole = signed()
    for at in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        with refused():
            jws.open_statement("proof", bytes(flipped), [certificate("p256")])


def headers(**change: object) -> list[bytes]:
    good = json.loads(jws.header("proof", certificate("p256")))
    changed = {**good, **change}
    return [json.dumps(changed, separators=(",", ":")).encode()]


@pytest.mark.parametrize(
    "protected",
    [
        *headers(alg="none"),
        *headers(alg="HS256"),
        *headers(alg="PS256"),
        *headers(v=2),
        *headers(crit=["x"], x=1),
        *headers(jwk={}),
        *headers(typ="sdbox-receipt"),
        b"{}",
        b"",
    ],
)
def test_a_header_is_exact_or_refused(protected: bytes) -> None:
    """Signed by the right key all the same: it is the header that is refused."""
    payload = fields.encode(PROOF)
    signature = sign("p256", jws.signing_input(protected, payload))
    with refused():
        jws.open_statement(
            "proof", jws.assemble(payload, [(protected, signature)]), [certificate("p256")]
        )


def test_signatures_are_raw_and_whole() -> None:
    payload = fields.encode(PROOF)
    protected = jws.header("proof", certificate("p256"))
    message = jws.signing_input(protected, payload)
    der = key("p256").sign(message, ec.ECDSA(hashes.SHA256()))
    raw = sign("p256", message)
    for signature in (der, raw[:63], raw + b"\0", b"", bytes(64), raw[:32] + bytes(32)):
        with refused():
            jws.open_statement(
                "proof", jws.assemble(payload, [(protected, signature)]), [certificate("p256")]
            )


def test_pkcs1_v15_is_not_pss() -> None:
    payload = fields.encode(PROOF)
    protected = jws.header("proof", certificate("rsa"))
    message = jws.signing_input(protected, payload)
    for pad in (padding.PKCS1v15(), padding.PSS(padding.MGF1(hashes.SHA256()), 20)):
        signature = key("rsa").sign(message, pad, hashes.SHA256())
        with refused():
            jws.open_statement(
                "proof", jws.assemble(payload, [(protected, signature)]), [certificate("rsa")]
            )


def test_a_key_of_another_kind_signs_nothing() -> None:
    with pytest.raises(Refused, match="statement-invalid"):
        jws.header("proof", certificate("ed25519"))


def test_signatures_are_counted_and_in_order() -> None:
    payload = fields.encode(PROOF)
    parts = []
    for kind in ("p256", "rsa"):
        protected = jws.header("proof", certificate(kind))
        parts.append((protected, sign(kind, jws.signing_input(protected, payload))))
    first, second = certificate("p256"), certificate("rsa")
    assert jws.open_statement("proof", jws.assemble(payload, parts), [first, second]) == PROOF
    for given_parts, certificates in (
        (parts[:1], [first, second]),
        (parts, [first]),
        (parts[::-1], [first, second]),
        ([parts[0], parts[0]], [first, second]),
        (parts * 2, [first, second] * 2),
        ([], []),
    ):
        with refused():
            jws.open_statement("proof", jws.assemble(payload, given_parts), certificates)


def test_members_are_those_of_the_format_only() -> None:
    good = json.loads(signed())
    for other in (
        {**good, "header": {}},
        {**good, "signatures": [{**good["signatures"][0], "header": {"alg": "none"}}]},
        {**good["signatures"][0], "payload": good["payload"]},  # the flattened form
        good["payload"],
    ):
        with refused():
            jws.open_statement("proof", json.dumps(other).encode(), [certificate("p256")])


def test_the_json_around_it_has_one_form() -> None:
    whole = signed()
    payload = whole[: whole.index(b",") + 1]
    for other in (b" " + whole, whole + b"\n", payload + whole[1:], b"{" + payload[1:] + whole[1:]):
        with refused():
            jws.open_statement("proof", other, [certificate("p256")])


def test_a_certificate_nobody_can_read_verifies_nothing() -> None:
    curve = bytes.fromhex("06082a8648ce3d030107")
    unknown = certificate("p256").replace(curve, curve[:-1] + b"\x05")
    for one in 2 * (unknown, certificate("p256")[:-1], b"", b"\x30\x00"):  # whatever is kept
        with refused():
            jws.open_statement("proof", signed(), [one])


@given(st.binary(max_size=64), st.data())
def test_base64url_has_one_form(data: bytes, draw: st.DataObject) -> None:
    text = jws.b64url(data).decode()
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert jws.unb64url(text) == data
    at = draw.draw(st.integers(0, len(text)))
    for foreign in ("=", "\n", " ", "+", "/", "\u212a"):
        with pytest.raises(DecodeError):
            jws.unb64url(text[:at] + foreign + text[at:])


@given(st.text(max_size=20))
def test_any_text_is_base64url_or_a_decode_error(text: str) -> None:
    with contextlib.suppress(DecodeError):
        assert jws.b64url(jws.unb64url(text)).decode() == text


def test_too_large_a_jws_is_not_read() -> None:
    with refused():
        jws.open_statement("proof", signed() + b" " * jws.MAX_JWS_BYTES, [certificate("p256")])


def test_a_statement_never_comes_out_as_another_type() -> None:
    class Proof(fields.Proof, frozen=True):  # of the same name, and not the one that is parsed
        pass

    with refused():
        jws.open_as(Proof, signed(), [certificate("p256")])


def test_a_key_of_another_kind_verifies_nothing() -> None:
    made = key("ed25519")
    with pytest.raises(InvalidSignature):
        jws.verify(made.public_key(), b"message", made.sign(b"message"))


def test_a_payload_of_any_type_is_given_back_as_it_was_signed() -> None:
    """For whoever has statements of his own; this module knows no type of them."""
    head = jws.header("other", certificate("p256"))
    payload = b"whatever it is"
    made = jws.assemble(payload, [(head, sign("p256", jws.signing_input(head, payload)))])
    assert jws.open_payload("other", made, [certificate("p256")]) == payload
    assert jws.signers(made) == (hashlib.sha256(certificate("p256")).digest(),)
    for typ, signer in (("proof", "p256"), ("other", "p384")):
        with pytest.raises(Refused, match="statement-invalid"):
            jws.open_payload(typ, made, [certificate(signer)])
    with pytest.raises(Refused, match="statement-invalid"):
        jws.open_statement("other", made, [certificate("p256")])


@pytest.mark.parametrize("head", [b"", b"{}", b"[]", b'{"x5t#S256":1}', b'{"x5t#S256":"!"}'])
def test_a_header_that_names_no_certificate_names_nobody(head: bytes) -> None:
    with pytest.raises(DecodeError):
        jws.signers(jws.assemble(b"{}", [(head, b"s")]))
