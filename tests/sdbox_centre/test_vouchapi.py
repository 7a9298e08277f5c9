"""The two calls over real TLS: one challenge a connection, spent once, and few askers."""

import contextlib
import dataclasses
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from sdbox_agent.centre import vouchwire, wire
from sdbox_agent.centre.https import CentreClient, Message, Where
from sdbox_agent.errors import Refused, SdboxError
from sdbox_agent.identity import est as client
from sdbox_agent.identity.vouching import Vouching
from sdbox_centre import authority, connections, server, vouchapi
from tests.pki.boxed import Key
from tests.sdbox_centre import ordering, tls
from tests.sdbox_centre.inmemory import InMemory
from tests.sdbox_centre.test_server import ask, connect
from tests.sdbox_centre.world import Box, World
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with tls.served(world, est=ordering.est_of(world)) as port:
        yield port


def nobody(world: World) -> ssl.SSLContext:
    return client.anonymous(tls.authority_file(world, "server", world.servers).read_text("ascii"))


def said(sock: ssl.SSLSocket, name: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    head, _, rest = ask(sock, body, f"/v1/{name}").partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(rest)


def challenge(sock: ssl.SSLSocket) -> bytes:
    status, answer = said(sock, "challenge")
    assert status == 200
    return wire.decode(json.dumps(answer).encode(), vouchwire.ChallengeAnswer).challenge


def vouch(sock: ssl.SSLSocket, asked: vouchwire.VouchRequest) -> tuple[int, str]:
    """Status, and code."""
    status, answer = said(sock, "vouch", wire.encode(asked))
    return status, answer.get("code", "")


def test_a_challenge_is_answered_once_on_its_own_connection(world: World, port: int) -> None:
    box = InMemory(world)
    with connect(world, port, nobody(world)) as one, connect(world, port, nobody(world)) as two:
        first = box.asks(challenge(one))
        assert vouch(two, first) == (403, "challenge-unknown")  # it was never asked anything
        challenge(two)
        assert vouch(two, first) == (403, "challenge-unknown")  # and now something else
        assert vouch(one, first)[0] == 200
        assert vouch(one, first) == (403, "challenge-unknown")
        replaced = box.asks(challenge(one))
        assert vouch(one, box.asks(challenge(one)))[0] == 200
        assert vouch(one, replaced) == (403, "challenge-unknown")
    assert world.trace().count(("vouch", "done")) == 2


def test_a_challenge_is_spent_by_what_is_refused(world: World, port: int) -> None:
    box = InMemory(world)
    with connect(world, port, nobody(world)) as sock:
        value = challenge(sock)
        stranger = box.asks(value, by=(box.statement_der, Key(authority.new_key())))
        assert vouch(sock, stranger) == (403, "box-refused")
        assert vouch(sock, box.asks(value)) == (403, "challenge-unknown")
        value = challenge(sock)
        world.clock.move(31)
        assert vouch(sock, box.asks(value)) == (403, "challenge-expired")
    assert ("vouch", "box-refused") in world.trace()


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 5000, b'{"v":2,"request":"","statement":""}'])
def test_what_is_no_request_is_refused(world: World, port: int, body: bytes) -> None:
    with connect(world, port, nobody(world)) as sock:
        status, answer = said(sock, "vouch", body)
    long = len(body) > vouchwire.MAX_REQUEST_BYTES
    assert (status, answer["code"]) == (
        (413, "request-too-large") if long else (400, "request-invalid")
    )


def test_one_address_asks_so_often_and_waits(world: World, port: int) -> None:
    with connect(world, port, nobody(world)) as sock:
        for _ in range(vouchapi.TRIES):
            challenge(sock)
        assert said(sock, "challenge") == (503, {"code": "centre-busy"})
        world.clock.move(60)
        challenge(sock)


def test_one_address_keeps_no_others_out(world: World, port: int) -> None:
    """Behind it there may be a house of boxes, or somebody who holds every place he gets."""
    held = [
        connect(world, port, nobody(world)) for _ in range(connections.MAX_ANONYMOUS_OF_ADDRESS)
    ]
    assert len(held) < connections.MAX_ANONYMOUS
    assert is_cut(world, port)
    elsewhere = socket.create_connection(
        ("127.0.0.1", port), PATIENCE_S, source_address=("127.0.0.2", 0)
    )
    with nobody(world).wrap_socket(elsewhere, server_hostname=tls.NAME) as sock:
        challenge(sock)
    for sock in held:
        sock.close()
    until(lambda: not is_cut(world, port))


def is_cut(world: World, port: int) -> bool:
    try:
        with connect(world, port, nobody(world)) as sock:
            return ask(sock, b"", "/v1/challenge") == b""
    except OSError:
        return True


def test_without_an_authority_there_is_none_to_give(world: World) -> None:
    with tls.served(world) as port, contextlib.closing(tls.client(world, port)) as box:
        for name in ("challenge", "vouch"):
            with pytest.raises(SdboxError, match="not-found"):
                box.fetch(Message("POST", f"/v1/{name}", "application/json", 1024))


def test_a_whole_box_speaks_by_a_key_that_was_never_written(world: World, port: int) -> None:
    box = InMemory(world)
    core = box.vouching(port)
    one = client_of(core, port)
    one.hello(named(world, box).hello(None))
    box.becomes("suspended")
    with pytest.raises(Refused, match="box-suspended"):
        one.hello(named(world, box).hello(None))
    one.close()


def client_of(core: Vouching, port: int) -> CentreClient:
    return CentreClient(Where((("127.0.0.1", port),), tls.NAME), core.context)


def named(world: World, box: InMemory) -> Box:
    return dataclasses.replace(world.box, name=box.name)


def test_a_connection_ends_with_its_certificate(world: World, port: int, monkeypatch) -> None:
    """The link of a box that does not come again would else outlive it."""
    box = InMemory(world)
    monkeypatch.setattr(server, "ends_s", lambda _der: server.utc_s() + 1)
    one = client_of(box.vouching(port), port)
    one.hello(named(world, box).hello(None))
    sock = one._sockets._sock
    assert sock is not None
    sock.settimeout(PATIENCE_S)
    assert sock.recv(1) == b""
    one.hello(named(world, box).hello(None))  # on another
    one.close()


def test_a_suspended_box_s_streams_are_cut(world: World, port: int) -> None:
    """By its statement key, which is what the tables call it by."""
    box = InMemory(world)
    one = client_of(box.vouching(port), port)
    one.hello(named(world, box).hello(None))
    sock = one._sockets._sock
    assert sock is not None
    box.becomes("suspended")
    sock.settimeout(PATIENCE_S)
    assert sock.recv(1) == b""
    one.close()
