"""Sealing: for which keys, and how large; that it opens is tests/pki/test_cms.py's matter."""

import pytest

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import cms
from sdbox_centre import authority, sealing
from tests.pki import grown


def test_rsa_of_3072_bits_is_sealed_to_and_4096_is_not() -> None:
    for bits, profile in ((3072, True), (4096, False)):
        key = grown.rsa_public(bits)
        issued = grown.card_authority().issue(
            authority.CARD_9D_RSA, authority.Subject("x"), key, grown.NOW
        )
        if profile:
            sealed = cms.parse(sealing.seal(b"x", authority.der_of(issued)))
            assert len(sealed.blob) == 384
            continue
        with pytest.raises(DecodeError):
            sealing.seal(b"x", authority.der_of(issued))


def test_something_that_is_no_certificate_is_refused() -> None:
    with pytest.raises(DecodeError):
        sealing.seal(b"x", b"\x30\x00")
