"""The box's client against servers that lie, drip, die and hang; over real TLS on loopback."""

import contextlib
import socket
import ssl
import threading

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.errors import Fault, Refused, SdboxError
from tests.centre.servers import HELLO, NAME, Hosts, answering, http, says
from tests.waiting import PATIENCE_S


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


def test_a_refused_certificate_is_told_from_a_dead_server(hosts: Hosts) -> None:
    context = hosts.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(hosts.anchors)  # not the boxes' authority
    refused = pytest.raises(Refused, match="box-refused")
    with answering(hosts, says(http()), context) as (client, _), refused:
        client.hello(HELLO)


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
