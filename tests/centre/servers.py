"""Servers of the test for the box's client, over real TLS on loopback; they say what they like."""

import contextlib
import datetime as dt
import re
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
from sdbox_agent.errors import SdboxError
from sdbox_centre import authority

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


def _whole(sock: ssl.SSLSocket) -> bytes:
    """One request with its body; b"" at the end."""
    got = b""
    while not _is_whole(got):
        more = sock.recv(65536)
        if not more:
            return b""
        got += more
    return got


def _is_whole(got: bytes) -> bool:
    head, ends, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: ([0-9]+)", head.lower())
    return bool(ends) and len(body) >= (int(length[1]) if length else 0)


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
        with contextlib.suppress(OSError, ValueError):  # closed under our hands: no TLS any more
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
        accepting, *_ = self._threads
        _end(self.listener)
        accepting.join(5)  # from here on none comes
        for sock in self._open:
            _end(sock)
        for thread in self._threads:
            thread.join(5)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    sock.close()


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


def drips(answer: bytes, every_s: float = 0.02) -> Answering:
    def drip(sock: ssl.SSLSocket, _: bytes) -> None:
        for at in range(len(answer)):
            sock.sendall(answer[at : at + 1])
            time.sleep(every_s)

    return drip


def refused(hosts: Hosts, behave: Answering, code: str) -> Listening:
    """The call ends with that code, after one connection and one request."""
    asked = []

    def counted(sock: ssl.SSLSocket, request: bytes) -> None:
        asked.append(request)
        behave(sock, request)

    with answering(hosts, counted) as (client, listening):
        with pytest.raises(SdboxError) as error:
            client.hello(HELLO)
        assert error.value.code == code
        assert (listening.connections, len(asked)) == (1, 1)
    return listening
