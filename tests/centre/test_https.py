"""The box's client against servers that lie, drip, die and hang; over real TLS on loopback."""

import contextlib
import datetime as dt
import socket
import ssl
import threading
import time

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreBusy, CentreClient, Where
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_centre import authority
from tests.centre.servers import (
    CHUNKED,
    HEAD,
    HELLO,
    JSON,
    NAME,
    Answering,
    Hosts,
    Listening,
    answering,
    http,
    says,
)
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Hosts:
    return Hosts(tmp_path_factory.mktemp("tls"))


def test_a_connection_is_kept_and_a_dead_one_replaced(hosts: Hosts) -> None:
    with answering(hosts, says(http())) as (client, listening):
        assert client.hello(HELLO).utc_s == 1
        assert client.hello(HELLO).utc_s == 1
        assert listening.connections == 1
        for sock in listening._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        assert client.hello(HELLO).utc_s == 1
        assert listening.connections == 2


def test_a_kept_connection_that_dies_under_a_request_is_tried_once_more(hosts: Hosts) -> None:
    seen = []

    def once(sock: ssl.SSLSocket, _: bytes) -> None:
        seen.append(1)
        if len(seen) == 2:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.sendall(http())

    with answering(hosts, once) as (client, _):
        client.hello(HELLO)
        assert client.hello(HELLO).utc_s == 1
    assert len(seen) == 3


def drips(answer: bytes, every_s: float = 0.02) -> Answering:
    def drip(sock: ssl.SSLSocket, _: bytes) -> None:
        for at in range(len(answer)):
            sock.sendall(answer[at : at + 1])
            time.sleep(every_s)

    return drip


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http(status="500 X"), "centre-fault"),
        (http(b"<html>", "502 Bad", "text/html"), "centre-fault"),
        (http(b"<html>", "200 OK", "text/html"), "centre-answer-invalid"),  # a portal
        (http(b"", "302 Found", extra="location: https://x/\r\n"), "centre-answer-invalid"),
        (http(b"", "401 No"), "centre-answer-invalid"),
        (http(b'{"code":"card-locked"}', "403 No"), "card-locked"),
        (http(b'{"code":"centre-fault"}', "503 No"), "centre-fault"),
        (http(b'{"code":"no-such-code"}', "403 No"), "centre-answer-invalid"),
        (http(b'{"code":"no-such-code"}', "503 No"), "centre-fault"),
        (http(b"{}"), "centre-answer-invalid"),
        (http(b"null"), "centre-answer-invalid"),
        (http(b'{"utc_s":NaN,"wire":1,"policy_version":1}'), "centre-answer-invalid"),
        (http(b'{"utc_s":1,"utc_s":1,"wire":1,"policy_version":1}'), "centre-answer-invalid"),
        (http(b"[" * 5000), "centre-answer-invalid"),
        (http(b"\xff"), "centre-answer-invalid"),
        (http(extra="content-encoding: gzip\r\n"), "centre-answer-invalid"),
        (http(kind="application/json; charset=utf-7"), "centre-answer-invalid"),
        (HEAD + JSON + b"content-length: 99999999\r\n\r\n",
         "centre-answer-invalid"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "centre-unreachable"),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", "centre-unreachable"),
        (CHUNKED + b"ZZ\r\n",
         "centre-unreachable"),
        (b"SSH-2.0-nonsense\r\n\r\n", "centre-unreachable"),
    ],
)  # fmt: skip
def test_what_the_centre_must_not_say_is_a_named_error(
    hosts: Hosts, answer: bytes, code: str
) -> None:
    with answering(hosts, says(answer)) as (client, listening):
        with pytest.raises(SdboxError, match=f"^{code}$"):
            client.hello(HELLO)
        assert listening.connections == 1


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


def test_an_answer_without_end_is_cut(hosts: Hosts) -> None:
    def flood(sock: ssl.SSLSocket, _: bytes) -> None:
        sock.sendall(CHUNKED)
        while True:
            sock.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    refused = pytest.raises(Fault, match="centre-answer-invalid")
    with answering(hosts, flood, answer_s=5.0) as (client, _), refused:
        client.hello(HELLO)


@pytest.mark.parametrize(
    "behave",
    [
        lambda sock, _: sock.recv(1),
        drips(http()),
        drips(b"HTTP/1.1 200 OK\r\nx-" + b"x" * 500),
    ],
    ids=["silence", "dripped", "dripped headers"],
)
def test_one_deadline_covers_all(hosts: Hosts, behave: Answering) -> None:
    with answering(hosts, behave, answer_s=0.5) as (client, _):
        start = time.monotonic()
        with pytest.raises(Fault, match="centre-slow"):
            client.hello(HELLO)
        assert 0.45 < time.monotonic() - start < 5  # dripped whole, the longest takes 10 s


def test_a_server_that_never_shakes_hands_is_slow(hosts: Hosts) -> None:
    listening = Listening(None, says(b""))
    client = CentreClient(
        Where((("127.0.0.1", listening.port),), NAME), hosts.context, answer_s=0.4
    )
    with pytest.raises(Fault, match="centre-slow"):
        client.hello(HELLO)
    client.close()
    listening.close()


def test_an_address_that_does_not_answer_leaves_time_for_the_next(hosts: Hosts) -> None:
    with answering(hosts, says(http())) as (_, listening):
        closed = socket.create_server(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        closed.close()
        where = Where((("127.0.0.1", port), ("127.0.0.1", listening.port)), NAME)
        client = CentreClient(where, hosts.context)
        assert client.hello(HELLO).utc_s == 1
        client.close()
        alone = CentreClient(Where((("127.0.0.1", port),), NAME), hosts.context)
        with pytest.raises(Fault, match="centre-unreachable"):
            alone.hello(HELLO)
        alone.close()


def test_a_full_backlog_is_given_up_in_time(hosts: Hosts) -> None:
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


def bad_context(hosts: Hosts, kind: str) -> ssl.SSLContext:
    match kind:
        case "other authority":
            other = authority.authority("Test Server Authority", hosts.now)
            return hosts.server_context(issuer=other)
        case "other name":
            return hosts.server_context(host="other.test")
        case "expired":
            return hosts.server_context(not_after=hosts.now - dt.timedelta(hours=1))
        case "a box's authority":
            return hosts.server_context(issuer=hosts.boxes)
        case _:
            context = hosts.server_context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            return context


@pytest.mark.parametrize(
    "kind", ["other authority", "other name", "expired", "a box's authority", "TLS 1.2"]
)
def test_a_server_that_is_not_ours_hears_nothing(hosts: Hosts, kind: str) -> None:
    heard: list[bytes] = []
    context = bad_context(hosts, kind)
    refused = pytest.raises(Fault, match="centre-unreachable")
    with answering(hosts, lambda _, asked: heard.append(asked), context) as (client, _), refused:
        client.hello(HELLO)
    assert not heard


def test_a_refused_certificate_is_told_from_a_dead_server(hosts: Hosts) -> None:
    context = hosts.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(hosts.anchors)  # not the boxes' authority
    refused = pytest.raises(Refused, match="box-refused")
    with answering(hosts, says(http()), context) as (client, _), refused:
        client.hello(HELLO)


def test_no_setting_of_the_environment_leads_it_elsewhere(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "SSL_CERT_FILE", "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with answering(hosts, says(http())) as (client, _):
        assert client.hello(HELLO).utc_s == 1


def test_close_from_another_thread_ends_a_running_call(hosts: Hosts) -> None:
    asked = threading.Event()

    def behave(sock: ssl.SSLSocket, _: bytes) -> None:
        asked.set()
        sock.recv(1)

    with answering(hosts, behave, answer_s=2 * PATIENCE_S) as (client, _):
        ended: list[str] = []

        def call() -> None:
            try:
                client.hello(HELLO)
            except SdboxError as error:
                ended.append(error.code)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        assert asked.wait(PATIENCE_S)
        client.close()
        thread.join(PATIENCE_S)
        assert ended == ["centre-unreachable"]
        with pytest.raises(Fault, match="centre-unreachable"):
            client.hello(HELLO)


def test_a_request_is_plain_and_names_no_more_than_it_must(hosts: Hosts) -> None:
    heard: list[bytes] = []

    def listen(sock: ssl.SSLSocket, request: bytes) -> None:
        heard.append(request)
        sock.sendall(http())

    with answering(hosts, listen) as (client, _):
        client.hello(HELLO)
    head, _, body = b"".join(heard).partition(b"\r\n\r\n")
    assert body == wire.encode(HELLO)
    names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert names == {
        b"host", b"accept", b"accept-encoding", b"user-agent", b"content-type", b"content-length",
        b"connection",
    }  # fmt: skip
    assert b"accept-encoding: identity" in head.lower()
