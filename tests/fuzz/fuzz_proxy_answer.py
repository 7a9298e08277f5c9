"""What a proxy, or whatever sits at its address, answers to CONNECT."""

import contextlib

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import connect

PARSERS = (connect.whole, connect.check)
SEEDS: list[bytes] = [
    b"HTTP/1.1 200 Connection established\r\n\r\n",
    b"HTTP/1.0 200 \r\nVia: 1.1 p\r\n\r\n",
    b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + 64 * b"a: b\r\n" + b"\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nmore",
    b"HTTP/1.1 200 " + b"a" * connect.MAX_HEAD_BYTES,
    b"SSH-2.0-OpenSSH_9.2\r\n",
]
TOKENS = [b"HTTP/1.1 ", b"\r\n", b"\r\n\r\n", b"200", b"407", b": "]


def target(data: bytes) -> None:
    """A connection only after `HTTP/1.x 2..`, with nothing behind the head."""
    whole = connect.whole(data)
    with contextlib.suppress(DecodeError, Fault):
        connect.check(data)
        assert whole
        assert data.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
        assert data.index(connect.END) + len(connect.END) == len(data) <= connect.MAX_HEAD_BYTES
