"""The witness: it reads what passes, and loses none."""

import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.net import observe
from hil.net.observe import Frame, Observer, now_ns, read
from hil.net.topology import BOX4, BOX6, CENTRE4, CENTRE6, CENTRE_SIDE, Topology
from tests.waiting import until


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x08\x00", b"\x86\xdd", b"\x08\x06"]))
def test_any_frame_is_read(body: bytes, ethertype: bytes) -> None:
    frame = read(b"\xff" * 12 + ethertype + body, 5, outgoing=False)
    assert frame.time_ns == 5
    assert frame.length_bytes == 12 + len(ethertype) + len(body)


@pytest.mark.rig
def test_every_frame_of_a_burst_is_seen_with_its_time() -> None:
    with Topology() as topology, Observer(topology.centre, CENTRE_SIDE) as observer:
        start_ns = now_ns()
        for family, host in ((socket.AF_INET, CENTRE4), (socket.AF_INET6, CENTRE6)):
            with topology.box.socket(family, socket.SOCK_DGRAM) as sock:
                # The neighbour first: until it is known, the sender's kernel queues few frames.
                sock.sendto(b"x", (host, 4241))
                until(lambda host=host: _to(observer, host, 4241) == 1)
                for _ in range(500):
                    sock.sendto(b"x", (host, 4242))
                until(lambda host=host: _to(observer, host, 4242) == 500)
        end_ns = now_ns()
    assert _to(observer, CENTRE4, 4242) == _to(observer, CENTRE6, 4242) == 500
    seen = observer.arrived(lambda frame: frame.port == 4242)
    assert {frame.source for frame in seen} == {BOX4, BOX6}
    assert all(start_ns <= frame.time_ns <= end_ns for frame in seen)


@pytest.mark.rig
def test_a_witness_that_is_slow_still_reads_all_that_came_before_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(*frame: Any, **more: Any) -> Frame:
        time.sleep(0.005)
        return read(*frame, **more)

    monkeypatch.setattr(observe, "read", slow)
    with Topology() as topology:
        with (
            Observer(topology.centre, CENTRE_SIDE) as observer,
            topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        ):
            sock.sendto(b"x", (CENTRE4, 4241))
            until(lambda: _to(observer, CENTRE4, 4241) == 1)
            for _ in range(100):
                sock.sendto(b"x", (CENTRE4, 4242))
        assert _to(observer, CENTRE4, 4242) == 100


@pytest.mark.rig
def test_a_witness_that_missed_frames_says_so() -> None:
    with Topology() as topology:
        observer = Observer(topology.centre, CENTRE_SIDE)  # nobody reads yet
        observer._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(100):
                sock.sendto(b"x", (CENTRE4, 4242))
        with pytest.raises(RuntimeError, match=r"missed \d+ frames"), observer:
            pass


@pytest.mark.rig
def test_a_witness_whose_interface_went_away_says_so() -> None:
    with Topology() as topology:
        observer = Observer(topology.centre, CENTRE_SIDE)
        with pytest.raises(RuntimeError, match="went away"), observer:
            topology.centre.ip(f"link del {CENTRE_SIDE}")


def _to(observer: Observer, host: str, port: int) -> int:
    return len(observer.arrived(lambda f: (f.destination, f.port) == (host, port)))
