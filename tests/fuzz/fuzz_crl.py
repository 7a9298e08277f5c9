"""Revocation lists: any bytes are one of the profile or a DecodeError; accepting one is a Fault."""

import contextlib

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.pki import revocation
from tests.pki import grown

OWN = grown.card_authority()
SEEDS: list[bytes] = [OWN.crl(1, grown.NOW), OWN.crl(2, grown.NOW, {7: grown.NOW})]


def target(data: bytes) -> None:
    """Parse, then accept; nothing but the seeds themselves is accepted."""
    with contextlib.suppress(DecodeError):
        assert isinstance(revocation.parse(data).revoked, frozenset)
    with contextlib.suppress(Fault):
        revocation.accept(data, [OWN.certificate_der], grown.NOW, None)
        assert data in SEEDS
