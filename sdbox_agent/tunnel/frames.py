"""What passes on a carrier's connection: a greeting each way, then WireGuard's datagrams as frames.

A frame is the datagram's length, two bytes in network order, and the datagram. Both ends read and
write it; neither what the datagrams hold nor who may greet is known here.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sdbox_agent.errors import DecodeError

# wireguard.com/papers/wireguard.pdf, section 5.4.6: header and tag of an empty transport message
MIN_DATAGRAM_BYTES: Final = 32
# ours
MAX_DATAGRAM_BYTES: Final = 2048  # an interface of 1420 bytes makes 1456 of a packet
TOKEN_BYTES: Final = 32
WELCOME: Final = b"sdbox-carrier/1\n"  # what the gateway's end answers a token that it takes
GREETING_BYTES: Final = len(WELCOME) + TOKEN_BYTES
QUEUE_MAX_BYTES: Final = 128 * 1024  # waiting to be written: 100 ms at 10 Mbit/s
_LENGTH_BYTES: Final = 2


def greeting(token: bytes) -> bytes:
    """The first bytes the box's end sends, to nobody whose certificate it has not recognised."""
    return WELCOME + token


def parse_greeting(data: bytes) -> bytes:
    """The token in it. Raises DecodeError."""
    if len(data) != GREETING_BYTES or not data.startswith(WELCOME):
        raise DecodeError("not a carrier's greeting")
    return data[len(WELCOME) :]


class Frames:
    """Datagrams out of a stream, however the stream is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are whole now. Raises DecodeError: the stream is over then."""
        stream, found, at = self._rest + data, [], 0
        while len(stream) >= at + _LENGTH_BYTES:
            start = at + _LENGTH_BYTES
            size = int.from_bytes(stream[at:start], "big")
            if not MIN_DATAGRAM_BYTES <= size <= MAX_DATAGRAM_BYTES:
                raise DecodeError("no datagram has that length")
            if len(stream) < start + size:
                break
            found.append(stream[start : start + size])
            at = start + size
        self._rest = stream[at:]
        return found


class Queue:
    """Datagrams waiting for a stream that is slower than they come.

    Bounded, and the oldest are dropped: what carries datagrams may lose some, and must not keep
    them until nobody wants them any more.
    """

    def __init__(self, most_bytes: int = QUEUE_MAX_BYTES) -> None:
        self._most_bytes = most_bytes
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self.dropped = 0  # since the beginning

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, datagram: bytes) -> None:
        """Add one. One that no frame can hold is dropped, too."""
        if not MIN_DATAGRAM_BYTES <= len(datagram) <= MAX_DATAGRAM_BYTES:
            self.dropped += 1
            return
        self._frames.append(len(datagram).to_bytes(_LENGTH_BYTES, "big") + datagram)
        self._bytes += _LENGTH_BYTES + len(datagram)
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._frames.popleft())
            self.dropped += 1

    def take(self, most_bytes: int) -> bytes:
        """Whole frames, oldest first, about `most_bytes` of them; none if none wait."""
        taken, size = [], 0
        while self._frames and size < most_bytes:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self._bytes -= size
        return b"".join(taken)
