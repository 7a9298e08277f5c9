"""Faults 67 to 75 for the centre: bodies, lengths and requests that no box of ours sends.

Written by hand: a generator found none of those that once ended in a 500. Each is one plain refusal
(or the end of the connection), in time, and nothing of what was sent comes back.
"""

import contextlib
import json
import ssl
import zlib
from collections.abc import Iterator

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.errors import SdboxError
from sdbox_centre import api
from tests.sdbox_centre import tls
from tests.sdbox_centre.test_server import answer, connect
from tests.sdbox_centre.world import World, session

MARK = "quoted-by-nobody"
PLAIN = {"code": "request-invalid"}


@pytest.fixture
def sock(world: World) -> Iterator[ssl.SSLSocket]:
    with tls.served(world) as port, connect(world, port, tls.box_context(world, world.box)) as one:
        yield one


def post(sock: ssl.SSLSocket, body: bytes, extra: str = "", name: str = "hello") -> bytes:
    head = f"POST /v1/{name} HTTP/1.1\r\nhost: c\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    sock.sendall(head.encode() + body)
    return answer(sock)


def to_its_end(sock: ssl.SSLSocket) -> bytes:
    """Whatever is answered until the connection ends."""
    said = b""
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        while more := sock.recv(65536):
            said += more
    return said


def last(sock: ssl.SSLSocket) -> int:
    """The status of the one answer there is, after which the connection ends."""
    said = to_its_end(sock)
    assert said.count(b"HTTP/1.1 ") == 1, "what follows could be read in two ways"
    return int(said.split()[1])


def refusal(said: bytes) -> tuple[int, dict]:
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def hello(**changed: object) -> bytes:
    """As `changed`, where a `bytes` stands for itself."""
    fields = {
        "v": b"1",
        "box": b'"test-box-01"',
        "session": b"null",
        "boot_id": b'"b"',
        "boot_counter": b"1",
        "agent_version": b'"1"',
        **changed,
    }
    return b"{" + b",".join(b'"%s":%s' % (n.encode(), v) for n, v in fields.items()) + b"}"


def deep(levels: int) -> bytes:
    return b'{"x":' * levels + b"1" + b"}" * levels


BODIES = {
    "nothing": b"",
    "not JSON": b"}{",
    "null": b"null",
    "an array": b"[]",
    "NaN": hello(boot_counter=b"NaN"),
    "Infinity": hello(boot_counter=b"-Infinity"),
    "a float for a whole number": hello(boot_counter=b"1.5"),
    "a float beyond floats": hello(boot_counter=b"1e999"),
    "5,000 digits": hello(boot_counter=b"9" * 5000),
    "below zero": hello(boot_counter=b"-1"),
    "beyond 32 bits": hello(boot_counter=b"4294967296"),
    "beyond 64 bits": hello(boot_counter=b"18446744073709551616"),
    "a lone surrogate": hello(box=b'"\\ud800"'),
    "a surrogate pair the wrong way": hello(box=b'"\\udc00\\ud800"'),
    "NUL in a name": hello(box=b'"a\\u0000b"'),
    "a newline at a name's end": hello(box=b'"test-box-01\\n"'),
    "a bare control character": hello(box=b'"a\x01"'),
    "invalid UTF-8": hello(box=b'"\xff\xfe"'),
    "an overlong encoding": hello(box=b'"\xc0\xaf"'),
    "UTF-16": hello().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + hello(),
    "two members of one name": hello()[:-1] + b',"box":"test-box-01"}',
    "two of one name, one escaped": hello()[:-1] + b',"\\u0062ox":"test-box-01"}',
    "an unknown member": hello(unknown=b"1"),
    "__proto__": hello(__proto__=b"{}"),
    "depth 17, unknown": hello(unknown=deep(17)),
    "depth 17, known": hello(box=deep(17)),
    "depth 17, arrays": hello(box=b"[" * 17 + b"]" * 17),
    "depth 20,000": b"[" * 20_000,
    "another version": hello(v=b"99"),
    "a name too long": hello(box=b'"' + b"x" * 101 + b'"'),
    "more after the end": hello() + hello(),
    "something quoted": hello(box=b'"' + MARK.encode() + b'\\ud800"'),
    "a comment": b"/**/" + hello(),
    "single quotes": hello().replace(b'"', b"'"),
    "gzip": zlib.compress(hello()),
}


@pytest.mark.parametrize("what", BODIES)
def test_fault_70_a_body_that_is_no_request(sock: ssl.SSLSocket, what: str) -> None:
    said = post(sock, BODIES[what])
    assert refusal(said) == (400, PLAIN)
    assert MARK.encode() not in said
    assert refusal(post(sock, b"{}")) == (400, PLAIN), "and the connection is in step"


@pytest.mark.parametrize("name", api.CALLS)
@pytest.mark.parametrize("body", [b"", b"{}", b'{"v":2}', deep(17), b"\xff"])
def test_fault_70_no_call_takes_another_body(sock: ssl.SSLSocket, name: str, body: bytes) -> None:
    assert refusal(post(sock, body, name=name)) == (400, PLAIN)


def depth(schema: dict) -> int:
    """How deep a message of it can be."""
    below = [
        *schema.get("properties", {}).values(),
        *schema.get("anyOf", []),
        *([schema["items"]] if isinstance(schema.get("items"), dict) else []),
        *schema.get("prefixItems", []),
    ]
    nests = schema.get("type") in {"object", "array"}
    return nests + max(map(depth, below), default=0)


def test_fault_70_no_message_of_ours_is_deep() -> None:
    """What is deeper than its type is refused; so 16 is never come to."""
    schemas = [
        one["schema"]
        for methods in api.description()["paths"].values()
        for call in methods.values()
        for content in (
            *([call["requestBody"]["content"]] if "requestBody" in call else []),
            *(answer["content"] for answer in call["responses"].values()),
        )
        for one in content.values()
    ]
    assert 2 <= max(map(depth, schemas)) <= 16


# -- 69: lengths, packing, heads -------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_fault_69_nothing_is_unpacked(sock: ssl.SSLSocket, encoding: str) -> None:
    """A bomb of 60 MB in 60 kB is 60 kB of nonsense here."""
    bomb = zlib.compress(b" " * 60_000_000)[: wire.MAX_REQUEST_BYTES]
    assert refusal(post(sock, bomb, f"content-encoding: {encoding}\r\n")) == (400, PLAIN)


@pytest.mark.parametrize(
    "head",
    [
        "content-length: -1",
        "content-length: +5",
        "content-length: 0x10",
        "content-length: 5, 6",
        "content-length: 5\r\ncontent-length: 6",
        f"content-length: {'9' * 5000}",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: \x0bchunked",
        "content-length : 5",
        "x: a\x00b",
    ],
    ids=lambda head: head[:24],
)
def test_fault_69_a_head_that_is_none(sock: ssl.SSLSocket, head: str) -> None:
    sock.sendall(f"POST /v1/hello HTTP/1.1\r\nhost: c\r\n{head}\r\n\r\n".encode("latin-1"))
    assert last(sock) == 400


def test_fault_69_beside_chunks_a_length_counts_for_nothing(sock: ssl.SSLSocket) -> None:
    """RFC 9112 section 6.1. Nothing stands before the API that could read it otherwise."""
    follows = b"POST /v1/end HTTP/1.1\r\nhost: c\r\ncontent-length: 2\r\n\r\n{}"
    sock.sendall(
        b"POST /v1/hello HTTP/1.1\r\nhost: c\r\ncontent-length: %d\r\n" % (5 + len(follows))
        + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        + follows
    )
    assert refusal(answer(sock)) == (400, PLAIN)
    assert refusal(answer(sock)) == (400, PLAIN)


@pytest.mark.parametrize(
    "chunks",
    [b"ZZ\r\n", b"-5\r\nabcde\r\n", b"fffffffffffffffffffff\r\n", b"2\r\n{}XX"],
)
def test_fault_69_chunks_that_are_none(sock: ssl.SSLSocket, chunks: bytes) -> None:
    head = b"POST /v1/hello HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n"
    sock.sendall(head + chunks)
    assert last(sock) == 400


def test_fault_69_chunks_without_end_are_refused_at_the_limit(sock: ssl.SSLSocket) -> None:
    sock.sendall(b"POST /v1/hello HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(5):
        sock.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
    assert refusal(answer(sock)) == (413, {"code": "request-too-large"})


@pytest.mark.parametrize(
    "target",
    [
        "/v1/%00hello",
        "/v1/hello/../end",
        "//v1/hello",
        "http://other.test/v1/hello/x",
        "*",
    ],
    ids=lambda target: target[:24],
)
def test_fault_69_a_target_that_is_not_there(sock: ssl.SSLSocket, target: str) -> None:
    sock.sendall(f"POST {target} HTTP/1.1\r\nhost: c\r\ncontent-length: 0\r\n\r\n".encode())
    assert answer(sock).split()[1] in {b"400", b"404", b"414", b"431"}


@pytest.mark.parametrize(
    "start",
    ["/v1/hello?", "/", "/v1/hello HTTP/1.1\r\nx: ", "/v1/hello HTTP/1.1\r\nx:1\r\n"],
    ids=["query", "path", "line", "lines"],
)
def test_fault_69_what_is_too_long_is_cut_off(world: World, start: str) -> None:
    """Whoever still sends when the connection ends may not find the answer any more."""
    box = tls.box_context(world, world.box)
    piece = "x" if not start.endswith("\n") else "x:1\r\n"
    with tls.served(world) as port, connect(world, port, box) as sock:
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
            sock.sendall(f"POST {start}{piece * (200_000 // len(piece))}".encode())
        said = to_its_end(sock)
        assert said == b"" or int(said.split()[1]) in {400, 414, 431}
        with connect(world, port, box) as another:
            assert refusal(post(another, b"{}")) == (400, PLAIN)


# -- 74: what was said to another ------------------------------------------------------------------


def test_fault_74_an_answer_replayed_to_another_session_ends_in_a_refusal(world: World) -> None:
    """A box that is told the challenge of an earlier session signs it, and is refused."""
    first, second = session(world, 1), session(world, 2)
    first.hello()
    replayed = first.challenge
    first.prove()
    second.hello()
    second.challenge = replayed
    with pytest.raises(SdboxError, match="challenge-unknown"):
        second.prove()


def test_fault_74_a_challenge_that_was_used_is_used(world: World) -> None:
    one = session(world)
    one.hello()
    used = one.challenge
    one.prove()
    one.challenge = used
    with pytest.raises(SdboxError, match="challenge-used"):
        one.prove()
