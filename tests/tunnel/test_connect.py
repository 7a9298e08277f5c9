"""What is said to a proxy, and which of its answers mean that the connection is there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import connect
from sdbox_agent.tunnel.config import parse_endpoint
from tests.fuzz import fuzz_proxy_answer


def test_an_address_is_asked_for_and_nothing_told() -> None:
    assert connect.request(parse_endpoint("[2001:db8::3]:443")) == (
        b"CONNECT [2001:db8::3]:443 HTTP/1.1\r\nHost: [2001:db8::3]:443\r\n\r\n"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 \r\n\r\n",
        b"HTTP/1.1 299 \xe9\r\nVia: 1.1 proxy\r\nX-Empty:\r\n\r\n",
        # RFC 9110, 9.3.6: to be ignored
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_two_hundred_is_a_connection(answer: bytes) -> None:
    assert connect.whole(answer)
    connect.check(answer)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n", "proxy-authentication"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy-refused"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://portal.test/\r\n\r\n", "proxy-refused"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "proxy-refused"),
    ],
)
def test_a_refusal_is_named(answer: bytes, code: str) -> None:
    with pytest.raises(Fault, match=f"^{code}$"):
        connect.check(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 600 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        b"HTTP/1.1 200 O\x1bK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n\x16\x03",  # TLS's server does not speak first
        b"HTTP/1.1 200 OK\r\n" + 65 * b"a: b\r\n" + b"\r\n",
        b"HTTP/1.1 200 " + b"a" * connect.MAX_HEAD_BYTES + b"\r\n\r\n",
    ],
)
def test_anything_else_is_no_answer(answer: bytes) -> None:
    with pytest.raises(DecodeError):
        connect.check(answer)


def test_nobody_waits_for_an_end_that_never_comes() -> None:
    assert not connect.whole(b"HTTP/1.1 200 OK\r\n")
    assert connect.whole(bytes(connect.MAX_HEAD_BYTES + 1))


@given(st.binary(max_size=300) | st.builds(lambda rest: b"HTTP/1.1 200 " + rest, st.binary()))
def test_anything_is_a_connection_a_refusal_or_a_decode_error(data: bytes) -> None:
    fuzz_proxy_answer.target(data)
