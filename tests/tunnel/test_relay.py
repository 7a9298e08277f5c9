"""Datagrams through a TLS connection and out again, and which are lost where there is no room."""

import contextlib
import selectors
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sdbox_agent.tunnel import frames
from sdbox_agent.tunnel.relay import Ended, Relay
from tests.tunnel import ends
from tests.waiting import until


@dataclass
class Ring:
    """A relay, WireGuard's socket behind it, and the other end of its connection."""

    relay: Relay
    wireguard: socket.socket
    far: ssl.SSLSocket

    def read(self) -> list[bytes]:
        """What the far end has been sent so far, as datagrams."""
        reader, found = frames.Frames(), []
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self.far.recv(1 << 16):
                found += reader.feed(data)
        return found

    def turn(self) -> bool:
        """Let the relay do what it can; whether there was anything."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.relay.udp, selectors.EVENT_READ)
            selector.register(self.relay.tls, self.relay.events)
            ready = selector.select(0.05)
            for key, events in ready:
                self.relay.ready(key.fileobj, events)
        return bool(ready)


@pytest.fixture
def ring() -> Iterator[Ring]:
    wireguard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wireguard.bind(("127.0.0.1", 0))
    wireguard.settimeout(10)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.connect(wireguard.getsockname())
    wireguard.connect(udp.getsockname())
    near, far = ends.pair_of_ends()
    one = Ring(Relay(near, udp), wireguard, far)
    yield one
    one.relay.close()
    wireguard.close()
    far.close()


def written(*datagrams: bytes) -> bytes:
    queue = frames.Queue()
    for each in datagrams:
        queue.put(each)
    return queue.take(1 << 20)


def test_datagrams_pass_both_ways(ring: Ring) -> None:
    sent = [bytes([n]) * (40 + n) for n in range(5)]
    for each in sent:
        ring.wireguard.send(each)
    found: list[bytes] = []
    until(lambda: (ring.turn() and found.extend(ring.read())) or len(found) == 5)
    assert found == sent
    assert ring.relay.taken == 5
    ring.far.send(written(*sent)[:100])
    ring.far.send(written(*sent)[100:])
    until(lambda: ring.turn() and ring.relay.received_bytes == len(written(*sent)))
    assert [ring.wireguard.recv(100) for _ in sent] == sent


def test_only_wireguards_own_datagrams_are_taken(ring: Ring) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(bytes(100), ring.relay.udp.getsockname())
    ring.wireguard.send(b"w" * 50)
    found: list[bytes] = []
    until(lambda: (ring.turn() and found.extend(ring.read())) or found)
    assert found == [b"w" * 50]


def test_a_connection_that_takes_nothing_costs_the_oldest_and_no_memory(ring: Ring) -> None:
    """The far end does not read: TCP fills, then the queue, which forgets its oldest."""
    number = 0
    while not ring.relay._queue.dropped:
        number += 1
        ring.wireguard.send(number.to_bytes(4, "big") * 300)
        ring.turn()
        assert number < 100_000
    assert ring.relay._queue._bytes <= frames.QUEUE_MAX_BYTES
    assert ring.relay.events == selectors.EVENT_READ | selectors.EVENT_WRITE
    found: list[bytes] = []

    def drained() -> bool:
        found.extend(ring.read())
        ring.turn()
        return ring.relay.events == selectors.EVENT_READ

    until(drained)
    until(lambda: found.extend(ring.read()) or found[-1][:4] == number.to_bytes(4, "big"))
    assert len(found) == number - ring.relay._queue.dropped
    assert found == sorted(found)


@pytest.mark.parametrize("said", [b"\x00\x00", b"\xff\xff", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_frame_ends_it(ring: Ring, said: bytes) -> None:
    ring.far.send(said)
    with pytest.raises(Ended):
        until(lambda: not ring.turn() and ring.relay.received_bytes)


def test_the_other_ends_leaving_ends_it(ring: Ring) -> None:
    ring.far.close()
    with pytest.raises(Ended):
        until(lambda: ring.turn() and False)


def test_a_closed_wireguard_ends_it(ring: Ring) -> None:
    ring.wireguard.close()
    ring.far.send(written(bytes(50), bytes(50)))
    with pytest.raises(Ended):
        until(lambda: ring.turn() and False)


def test_what_waits_at_the_end_is_not_sent_on(ring: Ring) -> None:
    """TCP, left to itself, would go on for as long as the far end takes to read."""
    while not ring.relay._queue:
        ring.wireguard.send(bytes(1200))
        ring.turn()
    ring.relay.close()
    with socket.socket(fileno=ring.far.detach()) as far:  # below TLS, which makes an end of both
        far.settimeout(10)
        with pytest.raises(ConnectionResetError):
            b"".join(iter(lambda: far.recv(1 << 16), b""))
