"""The front, over real TLS: who gets in, and how long anybody may take."""

import asyncio
import contextlib
import json
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, Refused
from sdbox_centre import authority, server
from sdbox_centre.line import RETRY_AFTER_S, THREADS, Line
from tests.sdbox_centre import tls
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import Box, Session, World
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with tls.served(world) as port:
        yield port


def connect(world: World, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    return context.wrap_socket(raw, server_hostname=tls.NAME)


def ask(sock: ssl.SSLSocket, body: bytes, path: str = "/v1/hello", extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: c\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    sock.sendall(head.encode() + body)
    return answer(sock)


def answer(sock: ssl.SSLSocket) -> bytes:
    """One answer, whole; b"" if the connection ends."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = sock.recv(65536)
        if not more:
            return got
        got += more
    head, _, rest = got.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(rest) < int(line.split(b":")[1]):
                rest += sock.recv(65536)
    return head + b"\r\n\r\n" + rest


def test_a_whole_session_over_tls(world: World, port: int) -> None:
    box = tls.client(world, port)
    one = Session(world, box, world.box, world.card, "boot-1-1")
    assert one.to_open().lease_s == w.LEASE_S
    one.renew()
    assert box.crls().crls == ((world.root / "cards.crl").read_bytes(),)
    one.end()
    assert not world.peers.peers
    box.close()


@pytest.mark.parametrize("have", ["x", "00", "00" * 32 + ",", ",".join(["00" * 32] * 9)])
def test_digests_that_are_none_are_refused(world: World, port: int, have: str) -> None:
    with connect(world, port, tls.box_context(world, world.box)) as sock:
        sock.sendall(f"GET /v1/crls?have={have} HTTP/1.1\r\nhost: c\r\n\r\n".encode())
        said = answer(sock)
    assert said.startswith(b"HTTP/1.1 400")
    assert said.endswith(b'{"code":"request-invalid"}')


def test_nobody_without_a_certificate(world: World, port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tls.authority_file(world, "anchors-only", world.servers))
    with pytest.raises(ssl.SSLError), connect(world, port, context) as sock:
        assert ask(sock, b"{}") == b""


def box_of(issuer: authority.Authority, world: World, profile=authority.BOX_TLS, **dates) -> Box:
    box = w.make_box(world.boxes, 1, world.now)
    key = authority.new_key()
    since = dates.pop("since", world.now - authority.BACKDATED)
    subject = authority.box_subject(box.name)
    issued = issuer.issue(profile, subject, key.public_key(), since, **dates)
    box.tls_der, box.tls_key = authority.der_of(issued), key
    return box


def test_a_context_that_asks_for_no_certificate_serves_nobody(world: World) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tls.authority_file(world, "anchors-only", world.servers))
    with tls.served(world, lax=True) as port, connect(world, port, context) as sock:
        try:
            got = ask(sock, b"{}")
        except OSError:
            got = b""
        assert got == b""  # cut, not answered


def test_nobody_with_a_certificate_of_another_kind(world: World, port: int) -> None:
    day = authority.CRL_LIFE / 7
    foreign = authority.authority("Test Box Authority", world.now)
    for box in (
        box_of(foreign, world),
        box_of(world.cards, world),
        box_of(world.boxes, world, profile=authority.BOX_STATEMENT),
        box_of(world.boxes, world, profile=authority.SERVER_TLS),
        box_of(world.boxes, world, since=world.now - 2 * day, not_after=world.now - day),
        box_of(world.boxes, world, since=world.now + day),
    ):
        client = tls.client(world, port, box)
        with pytest.raises(Refused, match="box-refused"):
            client.hello(box.hello(None))
        client.close()
    assert world.trace()[-1][0] != "hello"  # none of them reached the application


def test_a_box_that_is_in_no_list_is_refused_and_traced(world: World, port: int) -> None:
    box = box_of(world.boxes, world)  # a new certificate: right authority, right name
    client = tls.client(world, port, box)
    with pytest.raises(Refused, match="box-refused"):
        client.hello(box.hello(None))
    client.close()
    assert world.trace()[-1] == ("hello", "box-refused")


def test_a_suspended_box_is_cut_on_its_open_connection(world: World, port: int) -> None:
    client = tls.client(world, port)
    client.hello(world.box.hello(None))
    world.staff.suspend_box(world.box.name, "test")
    with pytest.raises(Refused, match="box-suspended"):
        client.hello(world.box.hello(None))
    client.close()


def test_no_header_is_believed(world: World, port: int) -> None:
    victim, thief = world.box, w.make_box(world.boxes, 2, world.now)
    pem = authority.pem_of(w.x509.load_der_x509_certificate(victim.tls_der)).decode()
    flat = pem.replace("\n", "%0A")
    extra = (
        f"x-client-cert: {flat}\r\nx-ssl-client-cert: {flat}\r\nx-forwarded-client-cert: {flat}\r\n"
        f"x-ssl-client-verify: SUCCESS\r\nx-ssl-client-s-dn: CN={victim.name}\r\n"
        f"x-forwarded-for: 127.0.0.1\r\nforwarded: for=127.0.0.1\r\nx-real-ip: 127.0.0.1\r\n"
        f"x-remote-user: {victim.name}\r\nauthorization: Bearer {victim.name}\r\n"
    )
    with connect(world, port, tls.box_context(world, thief)) as sock:
        got = ask(sock, wire.encode(victim.hello(None)), extra=extra)
    assert got.startswith(b"HTTP/1.1 403")
    assert json.loads(got.partition(b"\r\n\r\n")[2]) == {"code": "box-refused"}
    assert b"server:" not in got.lower()


def test_an_older_tls_is_refused(world: World, port: int) -> None:
    context = tls.box_context(world, world.box)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(world, port, context)


def test_certificates_are_held_to_rfc_5280_and_no_ticket_is_given(world: World) -> None:
    certificate, key = tls.server_identity(world)
    boxes = tls.authority_file(world, "boxes-authority", world.boxes)
    context = server.tls_context(Path(certificate), Path(key), boxes)
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT
    assert context.num_tickets == 0
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_no_session_is_ever_resumed(world: World, port: int) -> None:
    context = tls.box_context(world, world.box)
    with connect(world, port, context) as sock:
        ask(sock, wire.encode(world.box.hello(None)))
        assert sock.session is None or not sock.session.has_ticket


def test_two_boxes_on_kept_connections_are_never_mixed_up(world: World, port: int) -> None:
    second = w.make_box(world.boxes, 2, world.now)
    world.add_box(second)
    with (
        connect(world, port, tls.box_context(world, world.box)) as one,
        connect(world, port, tls.box_context(world, second)) as two,
    ):
        for _ in range(20):
            for sock, box in ((one, world.box), (two, second)):
                assert ask(sock, wire.encode(box.hello(None))).startswith(b"HTTP/1.1 200")
        assert ask(one, wire.encode(second.hello(None))).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/hello HTTP/1.1\r\nhost: c\r\n",
        b"POST /v1/hello HTTP/1.1\r\nhost: c\r\ncontent-length: 10\r\n\r\n{",
        b"POST /v1/hello HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{",
    ],
    ids=["silence", "half a header", "half a body", "half a chunk"],
)
def test_whoever_takes_too_long_is_cut(
    world: World, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.2)
    with (
        tls.served(world) as port,
        connect(world, port, tls.box_context(world, world.box)) as sock,
    ):
        start = time.monotonic()
        sock.sendall(sent)
        with pytest.raises((ConnectionError, ssl.SSLError)):  # noqa: PT012  a dripping loop
            while True:
                if sent:
                    sock.sendall(b"x"[: "{" not in sent.decode()])
                if not sock.recv(1):
                    raise ConnectionResetError
        assert time.monotonic() - start > 0.1


def test_a_second_request_dripped_on_a_kept_connection_is_cut(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.5)
    with (
        tls.served(world) as port,
        connect(world, port, tls.box_context(world, world.box)) as sock,
    ):
        ask(sock, wire.encode(world.box.hello(None)))
        time.sleep(0.7)  # idle: no request begun, nothing is late
        assert ask(sock, wire.encode(world.box.hello(None))).startswith(b"HTTP/1.1 200")
        end_s = time.monotonic() + PATIENCE_S
        with pytest.raises((ConnectionError, ssl.SSLError)):  # noqa: PT012  a dripping loop
            while time.monotonic() < end_s:
                sock.sendall(b"P")
                time.sleep(0.05)


def test_a_body_too_large_is_refused_unread(world: World, port: int) -> None:
    big = b"x" * (wire.MAX_REQUEST_BYTES + 1)
    for extra, body in (
        (f"content-length: {len(big)}\r\n", big),
        ("transfer-encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(big), big)),
    ):
        with connect(world, port, tls.box_context(world, world.box)) as sock:
            sock.sendall(f"POST /v1/hello HTTP/1.1\r\nhost: c\r\n{extra}\r\n".encode() + body)
            got = answer(sock)
        assert got.startswith(b"HTTP/1.1 413")
        assert got.endswith(b'{"code":"request-too-large"}')


HOSTILE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b'{"v":NaN}',
    b'{"v":1,"box":"\\ud800","boot_id":"a","boot_counter":1,"agent_version":"1"}',
    b'{"v":1,"box":"b","box":"b","boot_id":"a","boot_counter":1,"agent_version":"1"}',
    b'{"v":1,"box":"b","boot_id":"a","boot_counter":1,"agent_version":"1","extra":0}',
    b'{"v":1,"box":"b","boot_id":"a","boot_counter":' + b"9" * 5000 + b',"agent_version":"1"}',
    b'{"v":2,"box":"b","boot_id":"a","boot_counter":1,"agent_version":"1"}',
    b'{"v":1,"box":"b","boot_id":"a","boot_counter":1.5,"agent_version":"1"}',
    b'{"v":1,"box":"b\\n","boot_id":"a","boot_counter":1,"agent_version":"1"}',
    b"[" * 30000,
    b'{"v":' * 10000,
    b'{"session":' + b"[" * 2000 + b"]" * 2000 + b"}",
]


def test_a_hostile_body_is_one_plain_refusal(world: World, port: int) -> None:
    with connect(world, port, tls.box_context(world, world.box)) as sock:
        for body in HOSTILE:
            got = ask(sock, body)
            assert got.startswith(b"HTTP/1.1 400"), body[:80]
            assert got.endswith(b'\r\n\r\n{"code":"request-invalid"}')  # no echo of what was sent


def test_what_is_not_there_is_not_found(world: World, port: int) -> None:
    with connect(world, port, tls.box_context(world, world.box)) as sock:
        for path in ("/", "/docs", "/redoc", "/openapi.json", "/v1/hello/", "/v1/../v1/hello"):
            got = ask(sock, b"", path)
            assert got.startswith(b"HTTP/1.1 404"), path
            assert got.endswith(b'{"code":"not-found"}')
        sock.sendall(b"GET /v1/hello HTTP/1.1\r\nhost: c\r\n\r\n")
        assert b'{"code":"not-found"}' in answer(sock)


def test_a_bug_is_told_as_a_fault_and_nothing_else(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("with a secret in it")

    monkeypatch.setattr("sdbox_centre.sessions.box_of", broken)
    with connect(world, port, tls.box_context(world, world.box)) as sock:
        got = ask(sock, wire.encode(world.box.hello(None)))
    assert got.startswith(b"HTTP/1.1 500")
    assert got.endswith(b'{"code":"centre-fault"}')


def test_a_newcomer_too_many_is_told_when_to_come_again(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise Fault("centre-busy")

    monkeypatch.setattr(Line, "run", busy)
    with connect(world, port, tls.box_context(world, world.box)) as sock:
        said = ask(sock, wire.encode(world.box.hello(None)))
    assert said.startswith(b"HTTP/1.1 503")
    assert f"\r\nretry-after: {RETRY_AFTER_S}\r\n".encode() in said
    assert said.endswith(b'{"code":"centre-busy"}')


def test_what_a_box_waits_for_no_more_is_not_begun(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, going = [], threading.Event()

    def held(*_: object) -> None:
        begun.append(1)
        going.wait(PATIENCE_S)
        raise Fault("centre-fault")

    monkeypatch.setattr("sdbox_centre.api._traced", held)
    hello = wire.encode(world.box.hello(None))
    head = f"POST /v1/hello HTTP/1.1\r\nhost: c\r\ncontent-length: {len(hello)}\r\n\r\n"
    context = tls.box_context(world, world.box)
    with contextlib.ExitStack() as stack:
        held_up = [stack.enter_context(connect(world, port, context)) for _ in range(THREADS)]
        for sock in held_up:
            sock.sendall(head.encode() + hello)
        until(lambda: len(begun) == THREADS)
        with connect(world, port, context) as left:
            left.sendall(head.encode() + hello)
        last = stack.enter_context(connect(world, port, context))
        last.sendall(head.encode() + hello)
        going.set()
        for sock in (*held_up, last):
            assert answer(sock).startswith(b"HTTP/1.1 503")
    assert len(begun) == THREADS + 1


def test_an_answer_waits_for_no_acknowledgement(world: World, port: int) -> None:
    """Two writes an answer: with Nagle's algorithm every call would take 40 ms."""
    client = tls.client(world, port)
    took_s = 1.0
    for _ in range(200):  # the quickest: a busy machine slows the others
        start = time.monotonic()
        client.hello(world.box.hello(None))
        took_s = min(took_s, time.monotonic() - start)
        if took_s < 0.035:
            break
    client.close()
    assert took_s < 0.035


def test_the_internal_names_that_the_front_rests_on_are_there() -> None:
    server.tame_asyncio_tls()
    assert asyncio.sslproto.SSLProtocol.max_size == server.STREAM_BYTES
    assert asyncio.constants.SSL_HANDSHAKE_TIMEOUT == server.HANDSHAKE_S


def test_a_client_that_never_shakes_hands_is_cut(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_S", 0.3)
    with tls.served(world) as port, socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(PATIENCE_S)
        assert sock.recv(1) == b""


def test_descriptors_last_for_every_connection_there_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        server.allow_connections()
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert allowed == min(2 * server.MAX_CONNECTIONS, hard)
        server.allow_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (allowed, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (there := tmp_path / "there.pem").touch()
    with pytest.raises(FileNotFoundError, match="boxes"):
        server.tls_context(there, there, tmp_path / "boxes.pem")
