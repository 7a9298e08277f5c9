"""Faults 67 to 70 for the box's client: a server that fails, drips, floods or lies.

Each case ends in a named error, in time, on one connection, with nothing taken from what was said.
What such an end does to a session is tests/hil/test_faults_centre.py's; the centre's own side of
the same faults is tests/sdbox_centre/test_hostile.py.
"""

import socket
import ssl
import time

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreBusy, CentreClient, Where
from sdbox_agent.errors import Fault
from tests.centre.servers import (
    ANSWER,
    CHUNKED,
    HEAD,
    HELLO,
    JSON,
    NAME,
    Answering,
    Hosts,
    Listening,
    answering,
    drips,
    http,
    refused,
    says,
)
from tests.waiting import PATIENCE_S

# -- 67: statuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("400 X", "centre-answer-invalid"),
        ("401 X", "centre-answer-invalid"),
        ("403 X", "centre-answer-invalid"),
        ("404 X", "centre-answer-invalid"),
        ("409 X", "centre-answer-invalid"),
        ("418 X", "centre-answer-invalid"),
        ("429 X", "centre-answer-invalid"),
        ("500 X", "centre-fault"),
        ("502 X", "centre-fault"),
        ("503 X", "centre-fault"),
        ("504 X", "centre-fault"),
        ("599 X", "centre-fault"),
        ("201 X", "centre-answer-invalid"),
        ("204 X", "centre-answer-invalid"),
        ("206 X", "centre-answer-invalid"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", ANSWER], ids=["empty", "a page", "an answer"])
def test_fault_67_a_status_that_the_centre_does_not_give(
    hosts: Hosts, status: str, code: str, body: bytes
) -> None:
    later = "retry-after: 7\r\n"
    empty = status.startswith("204")  # RFC 9110 section 15.3.5: it has no body
    refused(hosts, says(http(b"" if empty else body, status, extra=later)), code)


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        ("403 No", "card-locked", "card-locked"),
        ("409 No", "challenge-used", "challenge-used"),
        ("503 No", "centre-fault", "centre-fault"),
        ("403 No", "no-such-code", "centre-answer-invalid"),
        ("503 No", "no-such-code", "centre-fault"),
    ],
)
def test_fault_67_a_refusal_is_told_by_its_code_alone(
    hosts: Hosts, status: str, said: str, code: str
) -> None:
    refused(hosts, says(http(f'{{"code":"{said}"}}'.encode(), status)), code)


@pytest.mark.parametrize(
    ("told", "kept_s"),
    [
        ("0", 0),
        ("7", 7),
        ("86400", 60),
        ("9" * 5000, 0),
        ("-1", 0),
        ("1e3", 0),
        ("\u00b2", 0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
    ],
)
def test_fault_67_a_centre_with_too_much_to_do_says_for_how_long(
    hosts: Hosts, told: str, kept_s: int
) -> None:
    head = f"HTTP/1.1 503 Busy\r\nretry-after: {told}\r\n".encode("latin-1")
    busy = b'{"code":"centre-busy"}'
    answer = head + JSON + f"content-length: {len(busy)}\r\n\r\n".encode() + busy
    caught = pytest.raises(CentreBusy, match=r"^centre-busy$")
    with answering(hosts, says(answer)) as (client, _), caught as refusal:
        client.hello(HELLO)
    assert refusal.value.retry_after_s == kept_s


# -- 68: silence, and one byte at a time -----------------------------------------------------------


@pytest.mark.parametrize(
    "behave",
    [
        lambda sock, _: sock.recv(1),
        drips(http()),
        drips(b"HTTP/1.1 200 OK\r\nx-" + b"x" * 500),
    ],
    ids=["silence", "dripped", "dripped headers"],
)
def test_fault_68_one_deadline_covers_all(hosts: Hosts, behave: Answering) -> None:
    with answering(hosts, behave, answer_s=0.5) as (client, _):
        start = time.monotonic()
        with pytest.raises(Fault, match="centre-slow"):
            client.hello(HELLO)
        assert 0.45 < time.monotonic() - start < 5  # dripped whole, the longest takes 10 s


def test_fault_68_a_server_that_never_shakes_hands_is_slow(hosts: Hosts) -> None:
    listening = Listening(None, says(b""))
    client = CentreClient(
        Where((("127.0.0.1", listening.port),), NAME), hosts.context, answer_s=0.4
    )
    with pytest.raises(Fault, match="centre-slow"):
        client.hello(HELLO)
    client.close()
    listening.close()


def test_fault_68_a_full_backlog_is_given_up_in_time(hosts: Hosts) -> None:
    """A listener that accepts nothing: the kernel drops our SYN, as a black hole would."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fill = [socket.socket() for _ in range(3)]
    for sock in fill:
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
    client = CentreClient(Where((full.getsockname(),), NAME), hosts.context, connect_s=0.3)
    start = time.monotonic()
    with pytest.raises(Fault, match=r"centre-(unreachable|slow)"):
        client.hello(HELLO)
    assert time.monotonic() - start < PATIENCE_S  # the kernel would try for two minutes
    client.close()
    for sock in (full, *fill):
        sock.close()


# -- 69: lengths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (HEAD + JSON + b"content-length: 10737418240\r\n\r\n", "centre-answer-invalid"),  # 10 GB
        (HEAD + JSON + b"content-length: 131073\r\n\r\n", "centre-answer-invalid"),
        (HEAD + JSON + b"content-length: %s\r\n\r\n" % (b"9" * 19), "centre-answer-invalid"),
        (HEAD + JSON + b"content-length: %s\r\n\r\n" % (b"9" * 5000), "centre-unreachable"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "centre-unreachable"),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", "centre-unreachable"),
        (CHUNKED + b"ZZ\r\n", "centre-unreachable"),
        (CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n", "centre-unreachable"),
        (CHUNKED + b"fffffffffffffffffffff\r\n", "centre-unreachable"),
        (CHUNKED + b"2\r\n{}XX0\r\n\r\n", "centre-unreachable"),
        (b"SSH-2.0-nonsense\r\n\r\n", "centre-unreachable"),
        (HEAD + b"x: %s\r\n\r\n" % (b"x" * 200_000), "centre-unreachable"),
        (HEAD + b"x: 1\r\n" * 20_000 + b"\r\n", "centre-unreachable"),
        (http(extra="content-encoding: gzip\r\n"), "centre-answer-invalid"),  # never unpacked
        (http(extra="content-encoding: br\r\n"), "centre-answer-invalid"),
        (http(kind="application/json; charset=utf-7"), "centre-answer-invalid"),
    ],
)  # fmt: skip
def test_fault_69_a_length_or_a_packing_that_is_wrong(
    hosts: Hosts, answer: bytes, code: str
) -> None:
    refused(hosts, says(answer), code)


@pytest.mark.parametrize("missing", [1, len(ANSWER)])
def test_fault_69_an_answer_that_ends_too_soon(hosts: Hosts, missing: int) -> None:
    def cut_short(sock: ssl.SSLSocket, _: bytes) -> None:
        sock.sendall(http()[:-missing])
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    refused(hosts, cut_short, "centre-unreachable")


def test_fault_69_more_than_was_said_is_no_answer_to_the_next_call(hosts: Hosts) -> None:
    second = http(wire.encode(wire.HelloAnswer(utc_s=666, wire=2, policy_version=1)))
    with answering(hosts, says(http() + second)) as (client, listening):
        assert client.hello(HELLO).utc_s == 1
        assert client.hello(HELLO).utc_s == 1
        assert listening.connections == 2, "what stood there already goes with its connection"


def test_fault_69_an_answer_without_end_is_cut(hosts: Hosts) -> None:
    def flood(sock: ssl.SSLSocket, _: bytes) -> None:
        sock.sendall(CHUNKED)
        while True:
            sock.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    refused = pytest.raises(Fault, match="centre-answer-invalid")
    with answering(hosts, flood, answer_s=5.0) as (client, _), refused:
        client.hello(HELLO)


# -- 70: what is said ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"[" * 17 + b"]" * 17,
        b"[" * 5000,
        b'{"utc_s":' + b"[" * 17 + b"]" * 17 + b',"wire":1,"policy_version":1}',
        b'{"utc_s":1,"wire":1,"policy_version":1,"x":' + b'{"x":' * 17 + b"1" + b"}" * 18,
        b'{"utc_s":NaN,"wire":1,"policy_version":1}',
        b'{"utc_s":Infinity,"wire":1,"policy_version":1}',
        b'{"utc_s":1e999,"wire":1,"policy_version":1}',
        b'{"utc_s":1.5,"wire":1,"policy_version":1}',
        b'{"utc_s":"1","wire":1,"policy_version":1}',
        b'{"utc_s":true,"wire":1,"policy_version":1}',
        b'{"utc_s":-1,"wire":1,"policy_version":1}',
        b'{"utc_s":' + b"9" * 5000 + b',"wire":1,"policy_version":1}',
        b'{"utc_s":1,"utc_s":1,"wire":1,"policy_version":1}',
        b'{"utc_s":1,"wire":1,"policy_version":1,"unknown":1}',
        b'{"utc_s":1,"wire":1,"policy_version":1,"challenge":"\\ud800"}',
        b'{"utc_s":1,"wire":1,"policy_version":1,"challenge":"AA=="}',
        b'{"utc_s":1,"wire":1,"policy_version":1,"challenge":"' + b"A" * 60_000 + b'"}',
        ANSWER + ANSWER,
        ANSWER + b"\0",
        b"\xef\xbb\xbf" + ANSWER,
        ANSWER.decode().encode("utf-16"),
        b"\xff",
        b"\xc0\xaf",
    ],
)
def test_fault_70_a_body_that_is_no_answer(hosts: Hosts, body: bytes) -> None:
    refused(hosts, says(http(body)), "centre-answer-invalid")
