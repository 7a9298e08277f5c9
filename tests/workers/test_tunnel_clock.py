"""Fault 85: what a gateway makes of a box whose clock was set back, and of a new session's key."""

import os
import socket
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hil.net.peer import PORT, FarPeer
from hil.net.topology import CENTRE4, Topology
from tests.tunnel import noise
from tests.workers.tunnel_parts import Core

pytestmark = pytest.mark.rig
NOW_S = int(time.time())


@pytest.fixture
def wire(topology: Topology) -> Iterator[socket.socket]:
    """The centre's own end of the cable, where no walls are."""
    with topology.centre.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        yield sock


def is_answered(wire: socket.socket, message: bytes) -> bool:
    time.sleep(0.05)  # wireguard-go takes no two of one peer within 20 ms
    wire.sendto(message, (CENTRE4, PORT))
    try:
        answer = wire.recv(200)
    except TimeoutError:
        return False
    return len(answer) == noise.RESPONSE_BYTES and answer[0] == noise.RESPONSE_TYPE


def test_an_older_time_than_the_last_is_refused_in_silence_until_it_has_passed(
    far: FarPeer, wire: socket.socket
) -> None:
    key = X25519PrivateKey.generate()
    far.admit(key.public_key().public_bytes_raw(), bytes(32))
    hello = [noise.initiation(key, far.public, NOW_S + ahead_s) for ahead_s in (0, -3600, 0, 1)]
    assert [is_answered(wire, each) for each in hello] == [True, False, False, True]


def test_a_new_key_may_be_of_any_time(far: FarPeer, wire: socket.socket) -> None:
    """So a new session opens whatever the clock says: every session has its own key."""
    for at_s in (NOW_S, NOW_S - 3600, 0):
        key = X25519PrivateKey.generate()
        far.admit(key.public_key().public_bytes_raw(), os.urandom(32))
        assert is_answered(wire, noise.initiation(key, far.public, at_s))


def test_wireguard_tells_its_last_handshake_by_the_wall_clock(far: FarPeer, core: Core) -> None:
    """What `clock_set_back` compares with."""
    before_ns = time.time_ns()
    core.rise(far)
    assert before_ns <= far.state().handshake_ns <= time.time_ns()
