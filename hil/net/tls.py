"""One direction of a TCP connection: does it carry TLS records and nothing else?

Reads headers of records (RFC 8446 5.1), never content. What is sent again is not held against what
was sent before. Does not know who speaks to whom.
"""

from __future__ import annotations

from typing import Final

from sdbox_agent.errors import DecodeError

# RFC 8446 5.1, 5.2
_HEADER_BYTES: Final = 5
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA = 20, 21, 22, 23
_LEGACY_VERSIONS: Final = {b"\x03\x01", b"\x03\x03"}
_CONTENT_MOST_BYTES: Final = 2**14 + 256
# ours
_WAITING_MOST: Final = 64  # segments behind a gap: the cable loses none, its sender may


class Records:
    """The bytes as they come, in segments that may repeat and overtake each other."""

    def __init__(self, sequence: int, before: frozenset[bytes] = frozenset()) -> None:
        """`sequence` is the first byte's, with which a record begins; or one of `before`, then."""
        self._next = sequence
        self._before = before
        self._said = b""  # of that
        self._waiting: dict[int, bytes] = {}
        self._header = b""
        self._content_bytes = 0  # of the record under way, still to come
        self._started = False

    def add(self, sequence: int, data: bytes) -> None:
        """One segment. Raises DecodeError if what has come so far is not TLS."""
        self._waiting[sequence] = max(data, self._waiting.get(sequence, b""), key=len)
        if len(self._waiting) > _WAITING_MOST:
            raise DecodeError("a gap in the stream that is never filled")
        while (found := self._following()) is not None:
            self._take(found)

    @property
    def waits(self) -> bool:
        """Is there anything behind a gap, not looked at yet?"""
        return bool(self._waiting)

    def _following(self) -> bytes | None:
        """What comes next of all that waits, if it is there; what was read before is dropped."""
        for sequence, data in list(self._waiting.items()):
            known = (self._next - sequence) % 2**32
            if known < 2**31:  # it begins here or earlier
                del self._waiting[sequence]
                if fresh := data[known:]:
                    return fresh
        return None

    def _take(self, data: bytes) -> None:
        self._next = (self._next + len(data)) % 2**32
        data = self._past(data)
        while data:
            skipped = min(self._content_bytes, len(data))
            self._content_bytes -= skipped
            data = data[skipped:]
            wanted = _HEADER_BYTES - len(self._header)
            if data:
                self._header, data = self._header + data[:wanted], data[wanted:]
                self._check_header()

    def _past(self, data: bytes) -> bytes:
        """What is TLS of it."""
        if not self._before:
            return data
        self._said += data
        for text in self._before:
            if self._said.startswith(text):
                self._before = frozenset()
                return self._said[len(text) :]
        if not any(text.startswith(self._said) for text in self._before):
            raise DecodeError("neither TLS nor what may stand before it")
        return b""

    def _check_header(self) -> None:
        """As far as it is there."""
        kinds = {_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA}
        if self._header[0] not in (kinds if self._started else {_HANDSHAKE}):
            raise DecodeError("not a TLS record")
        if len(self._header) < _HEADER_BYTES:
            return
        length_bytes = int.from_bytes(self._header[3:], "big")
        if self._header[1:3] not in _LEGACY_VERSIONS or not 0 < length_bytes <= _CONTENT_MOST_BYTES:
            raise DecodeError("not a TLS record")
        self._started = True
        self._header, self._content_bytes = b"", length_bytes
