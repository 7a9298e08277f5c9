"""Echo requests and answers as bytes (RFC 792, RFC 4443 section 4), for the kernel's echo sockets.

The kernel fills in identifier and checksum, and hands a socket only the answers to its own
identifier (icmp(7), IPPROTO_ICMP datagram sockets). Knows no socket.
"""

from __future__ import annotations

import struct
from typing import Final

from sdbox_agent.errors import DecodeError

# RFC 792; RFC 4443 sections 4.1, 4.2
_REQUEST: Final = {4: 8, 6: 128}
_REPLY: Final = {4: 0, 6: 129}
_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
# ours
COOKIE_BYTES: Final = 16  # random, one a tunnel: an answer to an older tunnel's probe is nobody's


def request(version: int, sequence: int, cookie: bytes) -> bytes:
    """An echo request; `sequence` is taken modulo 2^16."""
    return _HEADER.pack(_REQUEST[version], 0, 0, 0, sequence & 0xFFFF) + cookie


def parse_reply(version: int, data: bytes, cookie: bytes) -> int:
    """The sequence number of an answer that carries our cookie. Raises DecodeError."""
    if len(data) != _HEADER.size + COOKIE_BYTES or data[_HEADER.size :] != cookie:
        raise DecodeError("not an answer to our echo request")
    kind, code, _checksum, _identifier, sequence = _HEADER.unpack_from(data)
    if kind != _REPLY[version] or code != 0:
        raise DecodeError("not an echo reply")
    return int(sequence)
