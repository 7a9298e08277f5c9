"""Which connections each box has to this process, so that they can be cut.

A TLS connection outlives whatever becomes of its certificate. And a box has a few of them at once,
whoever holds its key: what there is room for, many boxes share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable


MAX_OF_BOX: Final = 16  # it needs three; those that its network cut stay here for a while


class Connections:
    """By SHA-256 of the certificate they were made with. In the event loop alone."""

    def __init__(self) -> None:
        self._of: dict[bytes, dict[asyncio.Transport, None]] = {}  # in the order they came

    def add(self, fingerprint: bytes, transport: asyncio.Transport) -> None:
        """One more; beyond MAX_OF_BOX, the oldest is ended."""
        known = self._of.setdefault(fingerprint, {})
        known[transport] = None
        if len(known) > MAX_OF_BOX:
            oldest = next(iter(known))
            del known[oldest]
            oldest.abort()

    def discard(self, fingerprint: bytes, transport: asyncio.Transport) -> None:
        """It has ended."""
        left = self._of.get(fingerprint, {})
        left.pop(transport, None)
        if not left:
            self._of.pop(fingerprint, None)

    def among(self, fingerprints: Iterable[bytes]) -> frozenset[bytes]:
        """Those of them that have a connection here."""
        return frozenset(fingerprints) & self._of.keys()

    def cut(self, fingerprint: bytes) -> None:
        """End them now, whatever is under way."""
        for transport in tuple(self._of.get(fingerprint, ())):
            transport.abort()
