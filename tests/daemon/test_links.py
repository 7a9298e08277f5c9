"""The core's end of a channel, over real sockets: a worker that dies, talks nonsense, or hangs."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import ipc
from sdbox_agent.daemon import links
from sdbox_agent.daemon.links import Link
from sdbox_agent.errors import Fault
from tests.daemon.parts import turn
from tests.waiting import PATIENCE_S


class Worker:
    """A listening socket, and what the core said and was told over it."""

    def __init__(self, path: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.path = path
        self.listener: socket.socket | None = None
        self.heard: list[ipc.Message] = []
        self.connects = self.losses = 0
        self.link: Link[ipc.FromTunnel] = Link(
            self.loop,
            path=path,
            accepts=ipc.FromTunnel,
            peer_uid=os.getuid(),
            died="tunnel-worker-died",
            heard=self.heard.append,
            connected=self.connected,
            lost=self.lost,
        )

    def connected(self) -> None:
        self.connects += 1

    def lost(self) -> None:
        self.losses += 1

    def listen(self, backlog: int = 4) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(PATIENCE_S)
        self.listener.bind(str(self.path))
        self.listener.listen(backlog)

    def accept(self) -> socket.socket:
        assert self.listener
        return self.listener.accept()[0]

    def close(self) -> None:
        self.link.close()
        self.loop.close()
        if self.listener:
            self.listener.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    one = Worker(tmp_path / "w.sock")
    yield one
    one.close()


def test_messages_go_both_ways(worker: Worker) -> None:
    worker.listen()
    worker.link.connect()
    peer = worker.accept()
    assert (worker.link.up, worker.connects) == (True, 1)
    worker.link.send(ipc.PrepareTunnel(n=3))
    assert b"prepare_tunnel" in peer.recv(1000)
    peer.send(b'{"t":"tunnel_closed","v":1,"n":3}')
    turn(worker.loop, lambda: worker.heard)
    assert worker.heard[0].n == 3
    peer.close()


def test_it_waits_for_a_worker_that_is_not_there_yet(worker: Worker) -> None:
    worker.link.connect()
    assert not worker.link.up
    with pytest.raises(Fault, match="tunnel-worker-died"):
        worker.link.send(ipc.PrepareTunnel(n=1))
    worker.listen()
    turn(worker.loop, lambda: worker.link.up)


def test_a_dead_worker_is_told_at_once_and_connected_again(worker: Worker) -> None:
    worker.listen()
    worker.link.connect()
    worker.accept().close()
    turn(worker.loop, lambda: worker.losses)
    assert not worker.link.up
    turn(worker.loop, lambda: worker.connects == 2)


@pytest.mark.parametrize(
    "frame", [b"nonsense", b'{"t":"up"}', b'{"t":"prepare_tunnel","v":1,"n":1}', b"x" * 200_000]
)
def test_a_worker_that_talks_nonsense_is_dead_to_us(worker: Worker, frame: bytes) -> None:
    worker.listen()
    worker.link.connect()
    peer = worker.accept()
    peer.send(frame)
    turn(worker.loop, lambda: worker.losses)
    assert worker.heard == []
    assert peer.recv(10) == b"", "its connection is ended too"
    peer.close()


def test_a_worker_that_does_not_read_is_dead_and_the_core_never_waits(worker: Worker) -> None:
    worker.listen()
    worker.link.connect()
    peer = worker.accept()

    def flood() -> None:
        for n in range(100_000):
            worker.link.send(ipc.PrepareTunnel(n=n))

    with pytest.raises(Fault, match="tunnel-worker-died"):
        flood()
    assert worker.losses == 1
    peer.close()


def test_a_manager_that_does_not_accept_is_not_waited_for(worker: Worker) -> None:
    worker.listen(backlog=0)
    held = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
    for sock in held:
        sock.setblocking(False)
        try:
            sock.connect(str(worker.path))
        except BlockingIOError:
            break
    worker.link.connect()  # a blocking connect would hang here
    assert not worker.link.up
    for sock in held:
        sock.close()


def test_a_worker_gone_before_our_first_word_does_not_end_the_agent(worker: Worker) -> None:
    worker.listen()

    def connected() -> None:
        worker.accept().close()
        worker.link.send(ipc.PrepareTunnel(n=0))

    worker.link._connected = connected
    worker.link.connect()
    assert (worker.link.up, worker.losses) == (False, 1)


def test_a_worker_that_speaks_and_dies_is_started_later_and_later(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    later = worker.loop.call_later

    def call_later(after_s: float, call: object, *args: object) -> asyncio.TimerHandle:
        if call == worker.link.connect:
            delays.append(after_s)
            after_s = 0
        return later(after_s, call, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(worker.loop, "call_later", call_later)
    worker.listen()
    worker.link.connect()
    for losses in range(1, 9):
        peer = worker.accept()
        peer.send(b'{"t":"tunnel_closed","v":1,"n":0}')
        peer.close()
        turn(worker.loop, lambda wanted=losses: worker.connects == wanted + 1)
    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    monkeypatch.setattr(links, "STEADY_S", 0)  # one that lasted starts anew
    worker.accept().close()
    turn(worker.loop, lambda: worker.losses == 9)
    assert delays[-1] == 0.05


def test_recycling_ends_this_connection_and_makes_the_next(worker: Worker) -> None:
    worker.listen()
    worker.link.connect()
    first = worker.accept()
    worker.link.recycle()
    assert first.recv(10) == b""
    second = worker.accept()
    assert (worker.link.up, worker.losses) == (True, 0)
    first.close()
    second.close()


def test_an_ended_connection_is_made_again_when_asked_for(worker: Worker) -> None:
    worker.listen()
    worker.link.connect()
    first = worker.accept()
    worker.link.end()
    assert (first.recv(10), worker.link.up, worker.losses) == (b"", False, 0)
    worker.link.connect()
    second = worker.accept()
    assert worker.link.up
    first.close()
    second.close()


def test_a_closed_link_stays_closed(worker: Worker) -> None:
    worker.link.connect()
    worker.link.close()
    worker.listen()
    with pytest.raises(AssertionError, match="never came"):
        turn(worker.loop, lambda: worker.link.up, within_s=0.2)
