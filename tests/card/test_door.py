"""A door for one uid: a few at a time, and whoever breaks the rules is dropped alone."""

import os
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.card.door import MAX_PEERS, Door
from sdbox_agent.errors import DecodeError
from tests.waiting import PATIENCE_S


class Bench:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(str(path))
        self.sock.listen(16)
        self.selector = selectors.DefaultSelector()
        self.heard: list[bytes] = []
        self.door = Door(self.selector, self.sock, os.getuid(), lambda sock: sock, self._hear)
        self.clients: list[socket.socket] = []

    def _hear(self, peer: socket.socket) -> None:
        data = peer.recv(10)
        if not data:
            raise ConnectionError
        if data == b"bad":
            raise DecodeError("bad")
        self.heard.append(data)

    def client(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(str(self.path))
        sock.settimeout(PATIENCE_S)
        self.clients.append(sock)
        self.turn()
        return sock

    def turn(self) -> None:
        for key, _ in self.selector.select(0):
            key.data()

    def close(self) -> None:
        self.door.close()
        self.selector.close()
        for sock in (self.sock, *self.clients):
            sock.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "door")
    yield made
    made.close()


def test_peers_are_heard_and_answered(bench: Bench) -> None:
    client = bench.client()
    client.send(b"hello")
    bench.turn()
    assert bench.heard == [b"hello"]
    (peer,) = bench.door.peers
    bench.door.tell(peer, lambda: peer.send(b"yes"))
    assert client.recv(10) == b"yes"


@pytest.mark.parametrize("how", ["breaks the rules", "goes"])
def test_who_breaks_the_rules_or_goes_is_dropped_alone(bench: Bench, how: str) -> None:
    bad, good = bench.client(), bench.client()
    if how == "goes":
        bad.close()
    else:
        bad.send(b"bad")
    good.send(b"good")
    bench.turn()
    assert (len(bench.door.peers), bench.heard) == (1, [b"good"])


def test_no_more_than_a_few_come_in(bench: Bench) -> None:
    """Fault 96."""
    clients = [bench.client() for _ in range(MAX_PEERS + 3)]
    assert len(bench.door.peers) == MAX_PEERS
    assert clients[-1].recv(1) == b""
    bench.clients[0].close()
    bench.turn()
    bench.client()
    assert len(bench.door.peers) == MAX_PEERS


def test_a_foreign_uid_is_shut_out(bench: Bench) -> None:
    """Fault 97."""
    bench.door._uid += 1
    assert bench.client().recv(1) == b""
    assert bench.door.peers == set()


def test_who_is_gone_is_told_nothing(bench: Bench) -> None:
    bench.client()
    (peer,) = bench.door.peers

    def fails() -> None:
        raise BrokenPipeError

    bench.door.tell(peer, fails)
    assert bench.door.peers == set()
    bench.door.tell(peer, fails)


def test_nobody_there_is_nobody(bench: Bench) -> None:
    bench.door._comes()
    client = bench.client()
    (peer,) = bench.door.peers
    peer.setblocking(False)
    bench.door._speaks(peer)
    assert bench.door.peers == {peer}
    bench.door.close()
    bench.door._speaks(peer)
    assert client.recv(1) == b""
