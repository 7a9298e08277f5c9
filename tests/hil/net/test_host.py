"""The host between box and centre: it passes on what it likes, as often and as late as it likes."""

import contextlib
import socket
from collections.abc import Iterator, Sequence

import pytest

from hil.net import forge
from hil.net.host import Way, black_hole, shaky
from hil.net.observe import Observer
from hil.net.topology import BOX4, CENTRE4, CENTRE_SIDE, Topology
from tests.waiting import until

SENT = 200


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    with Topology(hostile=True) as made:
        yield made


@contextlib.contextmanager
def received(topology: Topology) -> Iterator[Observer]:
    """The centre's end of the far cable, with the neighbour known."""
    with topology.centre.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((CENTRE4, 9))
        with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", (CENTRE4, 9))
        server.settimeout(30)
        server.recv(9)
        with Observer(topology.centre, CENTRE_SIDE) as observer:
            yield observer


def send(topology: Topology, count: int, length: int = 2) -> None:
    with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count):
            sock.sendto(number.to_bytes(2, "big").ljust(length, b"\0"), (CENTRE4, 9))


def count(observer: Observer, port: int = 9) -> int:
    return len(observer.arrived(lambda frame: frame.port == port))


@pytest.mark.rig
def test_left_alone_it_passes_everything_on_whole(topology: Topology) -> None:
    with topology.centre.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((CENTRE4, 443))
        server.listen()
        with topology.box.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(30)
            client.connect((CENTRE4, 443))
            accepted, _ = server.accept()
            with accepted:
                client.sendall(bytes(200_000))
                client.shutdown(socket.SHUT_WR)
                with accepted.makefile("rb") as stream:
                    assert len(stream.read()) == 200_000


@pytest.mark.rig
def test_some_are_lost_and_some_come_twice(topology: Topology) -> None:
    fate, drawn = shaky(1, 0.5, 0.0, 0.0), []

    def counted(frame: bytes, way: Way) -> Sequence[float]:
        drawn.append(way)
        return fate(frame, way)

    with received(topology) as observer, topology.host.treating(counted):
        send(topology, SENT)
        until(lambda: drawn.count(Way.FROM_BOX) >= SENT)
    assert 0 < count(observer) < SENT
    with received(topology) as observer, topology.host.treating(shaky(1, 0.0, 1.0, 0.05)):
        send(topology, SENT)
        until(lambda: count(observer) == 2 * SENT)


@pytest.mark.rig
def test_a_black_hole_swallows_what_is_large(topology: Topology) -> None:
    with received(topology) as observer, topology.host.treating(black_hole(576)):
        send(topology, 1, 576 - 28 + 1)
        send(topology, 1, 576 - 28)
        until(lambda: count(observer) == 1)
    assert count(observer) == 1


@pytest.mark.rig
def test_what_it_says_reaches_the_box(topology: Topology) -> None:
    mac = forge.mac(topology.box.show("link show uplink").split("link/ether ")[1].split()[0])
    payload = forge.udp((CENTRE4, 7), (BOX4, 9), b"psst")
    packet = forge.ipv4(CENTRE4, BOX4, forge.UDP, payload)
    frame = forge.ethernet(mac, bytes(6), forge.IPV4, packet)
    with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((BOX4, 9))
        sock.settimeout(30)
        topology.host.say(frame)
        assert sock.recv(9) == b"psst"
        with topology.host.shouting(frame):
            assert [sock.recv(9) for _ in range(3)] == [b"psst"] * 3


def test_a_shaky_fate_is_the_seeds() -> None:
    fates = [shaky(7, 0.3, 0.3, 0.1) for _ in range(2)]
    drawn = [[fate(b"", Way.FROM_BOX) for _ in range(50)] for fate in fates]
    assert drawn[0] == drawn[1]
    assert {len(each) for each in drawn[0]} == {0, 1, 2}
