"""The bytes before the signature: one form, whoever builds them."""

import pytest

from sdbox_agent.statements import header, jws
from tests.card.double import certificate, key


@pytest.mark.parametrize(
    ("kind", "alg"), [("P-256", "ES256"), ("P-384", "ES384"), ("RSA-2048", "PS256")]
)
def test_the_signer_and_the_verifier_build_the_same_header(kind: str, alg: str) -> None:
    der = certificate(key(kind, "9A"))
    assert header.protected("proof", alg, der) == jws.header("proof", der)


def test_base64url_has_no_padding() -> None:
    assert header.b64url(b"\xfb\xff\xfe\x00") == b"-__-AA"  # RFC 4648 section 5


def test_the_signing_input_is_two_parts_and_a_point() -> None:
    assert header.signing_input(b"{}", b"x") == b"e30.eA"
