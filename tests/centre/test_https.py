"""The box's client against servers that lie, drip, die and hang; over real TLS on loopback."""

import contextlib
import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreClient, Where, client_context
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_centre import authority
from tests.waiting import PATIENCE_S

NAME = "centre.test"
HELLO = wire.HelloRequest(box="test-box-01", boot_id="b", boot_counter=1, agent_version="1")
ANSWER = wire.encode(wire.HelloAnswer(utc_s=1, wire=1, policy_version=1))
HEAD = b"HTTP/1.1 200 OK\r\n"
JSON = b"content-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n" + JSON + b"\r\n"
Answering = Callable[[ssl.SSLSocket, bytes], None]


class Hosts:
    """Authorities and identities for both ends, on disk as both want them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = dt.datetime.now(dt.UTC)
        self.servers = authority.authority("Test Server Authority", self.now)
        self.boxes = authority.authority("Test Box Authority", self.now)
        self.anchors = self._pem("anchors", self.servers.certificate)
        box = self.issue(self.boxes, authority.BOX_TLS, authority.box_subject("test-box-01"))
        self.context = client_context(self.anchors, *box)

    def _pem(self, name: str, certificate: x509.Certificate) -> str:
        path = self.root / f"{name}.pem"
        path.write_bytes(authority.pem_of(certificate))
        return str(path)

    def issue(self, issuer, profile, subject, not_after=None) -> tuple[str, str]:
        key = authority.new_key()
        since = self.now - authority.CRL_LIFE
        issued = issuer.issue(profile, subject, key.public_key(), since, not_after)
        pem, path = self._pem(f"{issued.serial_number}", issued), self.root / f"{id(key)}.key"
        path.write_bytes(authority.key_pem(key))
        return pem, str(path)

    def server_context(self, issuer=None, host=NAME, not_after=None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0
        subject = authority.server_subject("centre", [host])
        issued = self.issue(issuer or self.servers, authority.SERVER_TLS, subject, not_after)
        context.load_cert_chain(*issued)
        return context


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Hosts:
    return Hosts(tmp_path_factory.mktemp("tls"))


def _whole(sock: ssl.SSLSocket) -> bytes:
    """One request with its body; b"" at the end."""
    got = b""
    while b"\r\n\r\n" not in got or not (got.startswith(b"GET") or got.endswith(b"}")):
        more = sock.recv(65536)
        if not more:
            return b""
        got += more
    return got


class Listening:
    """A server of the test: `behave` gets each connection's socket and each request on it."""

    def __init__(self, context: ssl.SSLContext | None, behave: Answering) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self._context, self._behave = context, behave
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                self._open.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, raw: socket.socket) -> None:
        sock = raw
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._context is None:
                raw.recv(1)  # never shakes hands
                raw.recv(65536)
                return
            sock = self._context.wrap_socket(raw, server_side=True)
            self._open.append(sock)
            while request := _whole(sock):
                self._behave(sock, request)
        sock.close()

    def close(self) -> None:
        for sock in (self.listener, *self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def answering(
    hosts: Hosts, behave: Answering, context: ssl.SSLContext | None = None, **times: float
) -> Iterator[tuple[CentreClient, Listening]]:
    listening = Listening(context or hosts.server_context(), behave)
    where = Where((("127.0.0.1", listening.port),), NAME)
    client = CentreClient(where, hosts.context, **{"connect_s": 5.0, "answer_s": 5.0, **times})
    try:
        yield client, listening
    finally:
        client.close()
        listening.close()


def http(
    body: bytes = ANSWER, status: str = "200 OK", kind: str = "application/json", extra: str = ""
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\ncontent-type: {kind}\r\n{extra}\r\n"
    )
    return head.encode() + body


def says(answer: bytes) -> Answering:
    return lambda sock, _: sock.sendall(answer)


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
