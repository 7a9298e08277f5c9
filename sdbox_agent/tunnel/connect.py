"""Asking an HTTP proxy for a connection (CONNECT, RFC 9110 section 9.3.6), and its answer.

The proxy is asked for an address, never a name, and told nothing else. Knows no sockets, and of the
answer only whether the connection is there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError, Fault

if TYPE_CHECKING:
    from sdbox_agent.tunnel.config import Endpoint

# RFC 9110 section 15.5.8; RFC 9112 sections 2.1, 4 and 5 (lines end in CRLF; no folded fields)
_AUTHENTICATION: Final = 407
_STATUS_LINE: Final = rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\t \x21-\x7e\x80-\xff]*\r\n"
_FIELD_LINE: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t \x21-\x7e\x80-\xff]*\r\n"
_HEAD: Final = re.compile(rb"%s(?:%s){0,64}+\r\n" % (_STATUS_LINE, _FIELD_LINE))
END: Final = b"\r\n\r\n"
# ours
MAX_HEAD_BYTES: Final = 8 * 1024


def request(endpoint: Endpoint) -> bytes:
    """Ask for `endpoint` (RFC 9112 section 3.2.3: authority-form)."""
    return f"CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\n\r\n".encode()


def whole(received: bytes) -> bool:
    """Is there no more to wait for: the head's end, or more than a head can be?"""
    return END in received or len(received) > MAX_HEAD_BYTES


def check(answer: bytes) -> None:
    """`answer` is all that came: is the connection there?

    Raises Fault (proxy-authentication, proxy-refused), DecodeError for anything that is no answer,
    and for bytes behind it: TLS's server never speaks first.
    """
    match = _HEAD.fullmatch(answer) if len(answer) <= MAX_HEAD_BYTES else None
    if match is None:
        raise DecodeError("not the head of an HTTP answer")
    status = int(match[1])
    if status == _AUTHENTICATION:
        raise Fault("proxy-authentication")
    if status < 200:  # nobody asked for an interim answer
        raise DecodeError("not a final answer")
    if status >= 300:
        raise Fault("proxy-refused")
