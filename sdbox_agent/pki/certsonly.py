"""Certificates in an envelope that nobody signed: CMS "certs-only" (RFC 7030 section 4.1.3).

A SignedData (RFC 5652 section 5.1) of version 1 without digest, content, list or signer: what is
left are the certificates. It says nothing of whom they are from; that is the reader's business.
"""

from __future__ import annotations

from typing import Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, der, oids

VERSION_1: Final = der.integer(1)  # RFC 5652 section 5.1: no content of a type of its own
NOTHING: Final = der.element(der.SET)  # no digest algorithm, no signer
NO_CONTENT: Final = der.sequence(der.oid(oids.DATA))
EXPLICIT_0: Final = der.CONTEXT | der.CONSTRUCTED  # [0], of the content and of the certificates

# Ours
MAX_CERTIFICATES: Final = 8  # a certificate, its authority, the authority's forerunner, …
MAX_BYTES: Final = 32 * 1024


def encode(*certificates_der: bytes) -> bytes:
    """The envelope, DER, its certificates in DER's order of a SET (X.690 section 11.6)."""
    certificates = der.element(EXPLICIT_0, *sorted(certificates_der))
    signed = der.sequence(VERSION_1, NOTHING, NO_CONTENT, certificates, NOTHING)
    return der.sequence(der.oid(oids.SIGNED_DATA), der.element(EXPLICIT_0, signed))


def parse(envelope_der: bytes) -> tuple[bytes, ...]:
    """The certificates inside, DER, each of the profile of `pki.certificate`, none twice.

    Raises DecodeError. Their order is not looked at: a SET has none, and senders differ.
    """
    der.check(envelope_der, MAX_BYTES)
    outer = der.Reader(envelope_der).enter()
    outer.expect(der.oid(oids.SIGNED_DATA))
    explicit = outer.enter(EXPLICIT_0)
    outer.end()
    signed = explicit.enter()
    explicit.end()
    signed.expect(VERSION_1)
    signed.expect(NOTHING)
    signed.expect(NO_CONTENT)
    certificates = signed.enter(EXPLICIT_0)
    signed.expect(NOTHING)
    signed.end()
    found: list[bytes] = []
    while not certificates.at_end():
        if len(found) == MAX_CERTIFICATES:
            raise DecodeError("certs-only: too many")
        one = certificates.raw()
        certificate.load(one)
        found.append(one)
    if not found or len(set(found)) < len(found):
        raise DecodeError("certs-only: none, or one twice")
    return tuple(found)
