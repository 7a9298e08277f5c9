"""Which connections each box has to this process, so that they can be cut.

A TLS connection outlives whatever becomes of its certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable


class Connections:
    """By SHA-256 of the certificate they were made with. In the event loop alone."""

    def __init__(self) -> None:
        self._of: dict[bytes, set[asyncio.Transport]] = {}

    def add(self, fingerprint: bytes, transport: asyncio.Transport) -> None:
        """One more."""
        self._of.setdefault(fingerprint, set()).add(transport)

    def discard(self, fingerprint: bytes, transport: asyncio.Transport) -> None:
        """It has ended."""
        left = self._of.get(fingerprint, set())
        left.discard(transport)
        if not left:
            self._of.pop(fingerprint, None)

    def among(self, fingerprints: Iterable[bytes]) -> frozenset[bytes]:
        """Those of them that have a connection here."""
        return frozenset(fingerprints) & self._of.keys()

    def cut(self, fingerprint: bytes) -> None:
        """End them now, whatever is under way."""
        for transport in tuple(self._of.get(fingerprint, ())):
            transport.abort()
