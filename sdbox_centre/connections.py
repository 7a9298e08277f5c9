"""Which connections each box has to this process, so that they can be cut.

A TLS connection outlives whatever becomes of its certificate. And a box has a few of them at once,
whoever holds its key: what there is room for, many boxes share.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from typing import TYPE_CHECKING, Final

from cryptography import x509

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import certificate, vouched

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable


MAX_OF_BOX: Final = 16  # it needs three; those that its network cut stay here for a while
MAX_ANONYMOUS: Final = 256  # of those that have no identity yet, whoever they are
MAX_ANONYMOUS_OF_ADDRESS: Final = 16  # a house of boxes that start at once; each is done in 0.1 s
DIGEST_BYTES: Final = 32


@functools.lru_cache(maxsize=4096)  # asked at each call, of the certificates of open connections
def fingerprint_of(certificate_der: bytes) -> bytes:
    """What a box is known by: SHA-256 of its TLS certificate, then of the key that speaks for it.

    That key is the statement key, if the certificate carries its word for the TLS key in it; else
    the TLS key. Staff's act names it, so that a renewed certificate is still the same box; or, of a
    box from before there were renewals, the certificate. Raises ValueError.
    """
    shown = x509.load_der_x509_certificate(certificate_der)
    try:
        by = vouched.voucher(shown)
    except DecodeError:  # a word that does not hold is nobody's
        by = None
    info = by or certificate.key_der(shown)
    return hashlib.sha256(certificate_der).digest() + hashlib.sha256(info).digest()


def ends_s(certificate_der: bytes) -> float:
    """When a certificate ends, UTC seconds: a connection made with it is not to outlive it."""
    return x509.load_der_x509_certificate(certificate_der).not_valid_after_utc.timestamp()


def halves(fingerprint: bytes) -> tuple[bytes, bytes]:
    """The two digests; one digest alone is both."""
    return fingerprint[:DIGEST_BYTES], fingerprint[-DIGEST_BYTES:]


def end(transport: asyncio.Transport) -> None:
    """At once. One that has been closed twice has ended, and asyncio 3.11 has nothing to abort."""
    with contextlib.suppress(AttributeError):
        transport.abort()


class Connections:
    """By the digests of what they were made with. In the event loop alone."""

    def __init__(self) -> None:
        self._of: dict[bytes, dict[asyncio.Transport, None]] = {}  # in the order they came
        self._anonymous: dict[asyncio.Transport, str] = {}  # and from which address

    def add(self, fingerprint: bytes, transport: asyncio.Transport) -> None:
        """One more; beyond MAX_OF_BOX, the oldest is ended."""
        for digest in set(halves(fingerprint)):
            self._add(digest, transport)

    def _add(self, digest: bytes, transport: asyncio.Transport) -> None:
        known = self._of.setdefault(digest, {})
        known[transport] = None
        if len(known) > MAX_OF_BOX:
            oldest = next(iter(known))
            del known[oldest]
            end(oldest)

    def discard(self, fingerprint: bytes, transport: asyncio.Transport) -> None:
        """It has ended."""
        self._anonymous.pop(transport, None)
        for digest in halves(fingerprint):
            left = self._of.get(digest, {})
            left.pop(transport, None)
            if not left:
                self._of.pop(digest, None)

    def add_anonymous(self, transport: asyncio.Transport, address: str) -> None:
        """One of somebody without an identity; beyond either limit, it is ended at once.

        No address alone can keep out boxes that stand elsewhere.
        """
        of_address = sum(each == address for each in self._anonymous.values())
        if len(self._anonymous) >= MAX_ANONYMOUS or of_address >= MAX_ANONYMOUS_OF_ADDRESS:
            end(transport)
            return
        self._anonymous[transport] = address

    def among(self, fingerprints: Iterable[bytes]) -> frozenset[bytes]:
        """Those of them that have a connection here."""
        return frozenset(fingerprints) & self._of.keys()

    def cut(self, fingerprint: bytes) -> None:
        """End them now, whatever is under way."""
        for transport in tuple(self._of.get(fingerprint, ())):
            end(transport)
