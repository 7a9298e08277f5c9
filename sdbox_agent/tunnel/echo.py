"""Echo requests and answers as bytes (RFC 792, RFC 4443 section 4), for the kernel's echo sockets.

The kernel fills in identifier and checksum, and hands a socket only the answers to its own
identifier (icmp(7), IPPROTO_ICMP datagram sockets). Knows no socket.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from sdbox_agent.errors import DecodeError

# RFC 792; RFC 4443 sections 4.1, 4.2
_REQUEST: Final = {4: 8, 6: 128}
_REPLY: Final = {4: 0, 6: 129}
_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_IP_HEADER_BYTES: Final = {4: 20, 6: 40}  # RFC 791, RFC 8200: without options
# ours
COOKIE_BYTES: Final = 16  # random, one a tunnel: an answer to an older tunnel's probe is nobody's


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to one of our probes."""

    sequence: int
    size_bytes: int  # of the whole packet, IP header included


def packet_bytes(version: int, payload: bytes) -> int:
    """The size of the packet that carries an echo request or answer."""
    return _IP_HEADER_BYTES[version] + len(payload)


def request(version: int, sequence: int, cookie: bytes, size_bytes: int | None = None) -> bytes:
    """An echo request; `sequence` is below 2^16. With `size_bytes`, the packet has that size."""
    bare = _HEADER.pack(_REQUEST[version], 0, 0, 0, sequence) + cookie
    return bare if size_bytes is None else bare.ljust(size_bytes - _IP_HEADER_BYTES[version], b"\0")


def parse_reply(version: int, data: bytes, cookie: bytes) -> Reply:
    """An answer that carries our cookie and, beyond it, nothing but zeros. Raises DecodeError."""
    end = _HEADER.size + COOKIE_BYTES
    if data[_HEADER.size : end] != cookie or any(data[end:]):
        raise DecodeError("not an answer to our echo request")
    kind, code, _checksum, _identifier, sequence = _HEADER.unpack_from(data)
    if kind != _REPLY[version] or code != 0:
        raise DecodeError("not an echo reply")
    return Reply(int(sequence), packet_bytes(version, data))
