"""The door: a wireguard-go that errs, hangs, leaves or lies ends in one Fault, never in silence."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.hardening import wipe
from sdbox_agent.tunnel import rtnetlink, uapi
from sdbox_agent.tunnel.kernel import Links
from sdbox_agent.tunnel.link import UapiSocket, WireGuardGo, move

DEADLINE_S = 0.1
RUNTIME = Path("/run/wireguard")  # wireguard-go's own place
NAME = f"wgt{os.getpid()}"


def against(reply: bytes, *, close: bool = False) -> tuple[UapiSocket, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.sendall(reply)
    if close:
        theirs.shutdown(socket.SHUT_WR)
    return UapiSocket(ours, DEADLINE_S), theirs


def test_an_acknowledged_set_returns() -> None:
    control, theirs = against(b"errno=0\n\n")
    control.set(uapi.REMOVE_PEERS)
    assert theirs.recv(100) == uapi.REMOVE_PEERS
    control.close()
    theirs.close()


@pytest.mark.parametrize(
    ("reply", "close"),
    [
        (b"errno=-22\n\n", False),
        (b"errno=22\n\n", False),
        (b"", False),
        (b"", True),
        (b"errno=0\n", False),
        (b"errno=0\n", True),
        (b"x" * 100, False),
        (b"nonsense\n\n", False),
    ],
)
def test_errno_end_deadline_and_nonsense_are_errors(reply: bytes, close: bool) -> None:
    control, theirs = against(reply, close=close)
    with pytest.raises((Fault, DecodeError)):
        control.set(uapi.REMOVE_PEERS)
    control.close()
    theirs.close()


def test_a_deadline_is_for_the_whole_answer_not_for_each_byte() -> None:
    control, theirs = against(b"")
    given_up = threading.Event()

    def drip() -> None:
        for _ in range(200):
            if given_up.wait(DEADLINE_S / 2):
                return
            theirs.send(b"e")

    thread = threading.Thread(target=drip)
    thread.start()
    start_s = time.monotonic()
    with pytest.raises(Fault):
        control.device()
    given_up.set()
    assert time.monotonic() - start_s < 50 * DEADLINE_S  # a drip lasts twice as long
    thread.join()
    control.close()
    theirs.close()


def test_pywireguards_own_calls_go_through_the_strict_socket() -> None:
    control, theirs = against(b"errno=22\n\n")
    with pytest.raises(Fault):
        control.listen_port = 70000  # as published, accepted in silence
    assert theirs.recv(100) == b"set=1\nlisten_port=70000\n\n"
    with pytest.raises(NotImplementedError):
        _ = control.peers  # would hold keys as str
    control.close()
    theirs.close()


def test_wiping_leaves_zeros() -> None:
    key = bytearray(b"key")
    wipe(key)
    assert key == bytes(3)


def test_an_absent_binary_is_a_fault_and_leaves_no_socket(tmp_path: Path) -> None:
    wireguard = WireGuardGo("none0", tmp_path, "/nonexistent/wireguard-go")
    with pytest.raises(Fault):
        wireguard.start()
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_leaves_at_once_is_a_fault_and_is_reaped(tmp_path: Path) -> None:
    wireguard = WireGuardGo("none0", tmp_path, "/bin/true")
    with pytest.raises(Fault):
        wireguard.start()
    assert wireguard.pid is None
    assert list(tmp_path.iterdir()) == []


def test_a_control_connection_is_refused_when_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(Fault):
        WireGuardGo("none0", tmp_path).peers()


@pytest.fixture
def namespaces() -> Iterator[tuple[Namespace, Namespace]]:
    claim = Claim()
    RUNTIME.mkdir(mode=0o755, exist_ok=True)
    yield claim.namespace("here"), claim.namespace("there")
    claim.release()


@pytest.mark.rig
def test_an_interface_lives_from_start_to_stop(namespaces: tuple[Namespace, Namespace]) -> None:
    here, there = namespaces
    wireguard = WireGuardGo(NAME, RUNTIME)
    with here.entered():
        wireguard.start()
        links = Links.here()
    far = there.run(Links.here)
    assert here.links() == {"lo", NAME}
    key = bytearray(b"k" * 32)
    wireguard.configure(key, fwmark=7, listen_port=51999)
    assert key == bytes(32)
    peer = uapi.PeerConfig(b"\x01" * 32, ())
    wireguard.set_peers([peer, uapi.PeerConfig(b"\x02" * 32, ())], replace=True)
    device = wireguard.control.device()
    assert (device.listen_port, device.fwmark) == (51999, 7)
    assert {each.public_key for each in device.peers} == {b"\x01" * 32, b"\x02" * 32}
    wireguard.remove_peer(b"\x02" * 32)
    assert [each.public_key for each in wireguard.peers()] == [b"\x01" * 32]
    with there.path.open("rb") as namespace:
        index = move(NAME, links, far, namespace.fileno())
    far.run([rtnetlink.be_quiet(index), rtnetlink.raise_up(index)])
    assert (here.links(), there.links()) == ({"lo"}, {"lo", NAME})
    wireguard.stop()
    wireguard.stop()
    assert there.links() == {"lo"}
    assert not (RUNTIME / f"{NAME}.sock").exists()
    links.close()
    far.close()


@pytest.mark.rig
def test_a_taken_name_is_a_fault(namespaces: tuple[Namespace, Namespace]) -> None:
    here, _ = namespaces
    here.ip(f"link add {NAME} type veth peer name other")
    wireguard = WireGuardGo(NAME, RUNTIME)
    with here.entered(), pytest.raises(Fault):
        wireguard.start()
    assert wireguard.pid is None
    assert not (RUNTIME / f"{NAME}.sock").exists()
