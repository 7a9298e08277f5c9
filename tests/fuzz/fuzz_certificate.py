"""Certificates: any bytes are one of the profile or a DecodeError."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, holder
from tests.pki import grown

SEEDS: list[bytes] = [
    grown.card().certificates.auth,
    grown.card("rsa2048").certificates.key_management,
    grown.card_authority().certificate_der,
]


def target(data: bytes) -> None:
    """Load it and read everything that is ever read of one."""
    with contextlib.suppress(DecodeError):
        loaded = certificate.load(data)
        for read in (certificate.usages, certificate.extended_usages, certificate.policies):
            assert isinstance(read(loaded), frozenset)
        certificate.is_authority(loaded)
        with contextlib.suppress(DecodeError):
            holder.guid(loaded)
        holder.display_name(loaded)
