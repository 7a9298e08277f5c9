"""The gateway behind its real socket: who may connect, and what is answered to nonsense."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_centre import gateway_server
from sdbox_centre.gateway_server import GatewayServer, listen, may
from sdbox_centre.gateway_wire import GatewayClient
from tests.sdbox_centre import world as w
from tests.sdbox_centre.test_gateway import install, renewal
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S, until

ME = os.getuid()


class Running:
    def __init__(self, world: World, uids: dict[int, tuple[type, ...]]) -> None:
        self.path = world.root / "gateway.sock"
        self.failed: list[OSError] = []
        self.server = GatewayServer(world.gateway, listen(self.path), uids, lambda: (w.PROJECT,))
        self.thread = threading.Thread(target=self._run, daemon=True)  # a failed test must end
        self.thread.start()

    def _run(self) -> None:
        try:
            self.server.run()
        except OSError as error:
            self.failed.append(error)
        finally:
            self.server.close()

    def close(self) -> None:
        self.server.stop()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@pytest.fixture
def running(world: World) -> Iterator[Running]:
    one = Running(world, may(ME, ME + 1))
    yield one
    one.close()


def raw(running: Running) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(PATIENCE_S)
    sock.connect(str(running.path))
    return sock


def test_install_renew_and_remove_over_the_socket(world: World, running: Running) -> None:
    with GatewayClient(running.path, ME) as client:
        request = install(world)
        assert client.install(request) == client.install(request)
        assert client.renew(renewal(world, 1)).lease_s == w.LEASE_S
        with pytest.raises(Refused, match=r"^lease-refused$"):
            client.renew(renewal(world, 7))
        client.remove([f"{world.box.name}/{world.box.boot_id}-1"])
        client.remove(f"box/{n}" for n in range(2500))  # nobody's: out already
    assert not world.peers.peers
    assert running.path.stat().st_mode & 0o777 == 0o600


def test_another_uid_gets_no_word(world: World) -> None:
    one = Running(world, may(ME + 1, ME + 2))
    with raw(one) as sock:
        assert sock.recv(1) == b""
    with GatewayClient(one.path, ME) as client, pytest.raises(Fault, match="centre-fault"):
        client.install(install(world))
    one.close()
    assert not world.peers.peers


def test_staff_can_only_hand_over_acts_and_take_away(world: World) -> None:
    one = Running(world, may(ME + 1, ME))
    with GatewayClient(one.path, ME) as client:
        client.remove(["box/1"])
        client.act(b"a statement, which is the book's to judge")
        with pytest.raises(Fault, match="centre-fault"):
            client.install(install(world))
    one.close()
    assert not world.peers.peers


def test_the_carriers_end_can_only_redeem_tokens(world: World) -> None:
    one = Running(world, may(ME + 1, ME + 2, ME))
    with GatewayClient(one.path, ME) as client:
        carrier = world.gateway.answer(install(world)).carrier
        assert client.admit(carrier.token, 4000) == 51820
        with pytest.raises(Refused, match=r"^carrier-refused$"):
            client.admit(carrier.token, 4000)
        for ask in (lambda: client.remove(["box/1"]), lambda: client.install(install(world))):
            with pytest.raises(Fault, match="centre-fault"):
                ask()
    one.close()
    assert len(world.peers.peers) == 1


def test_a_client_asks_who_listens(world: World, running: Running) -> None:
    with GatewayClient(running.path, ME + 1) as client, pytest.raises(Fault, match="centre-fault"):
        client.install(install(world))
    assert not world.peers.peers


@pytest.mark.parametrize(
    "packet",
    [b"{}", b"null", b"\xff", b'{"t":"install"}', b'{"t":"add","peer":"x"}', b"[" * 100_000],
)
def test_nonsense_ends_the_connection_and_nothing_else(
    world: World, running: Running, packet: bytes
) -> None:
    with raw(running) as sock:
        sock.send(packet)
        assert sock.recv(1) == b""
    with GatewayClient(running.path, ME) as client:
        client.install(install(world))
    assert len(world.peers.peers) == 1


def test_a_client_outlives_a_gateway_that_restarts(world: World) -> None:
    one = Running(world, may(ME, ME))
    client = GatewayClient(one.path, ME)
    client.remove(["box/1"])
    one.close()
    with pytest.raises(Fault, match="centre-fault"):
        client.remove(["box/1"])
    two = Running(world, may(ME, ME))
    client.remove(["box/1"])
    two.close()
    three = Running(world, may(ME, ME))  # the kept connection is dead, and not yet known to be
    client.remove(["box/1"])
    client.close()
    three.close()


def test_a_gateway_that_hangs_is_a_fault_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdbox_centre.gateway_wire.DEADLINE_S", 0.3)
    path = world.root / "hung.sock"
    hung = listen(path)
    with GatewayClient(path, ME) as client, pytest.raises(Fault, match="centre-fault"):
        client.remove(["box/1"])
    hung.close()


def test_a_dead_gateway_refuses_receipts_and_reserves_nothing_more(world: World) -> None:
    """The API's half: the session stays where it was, and the box is told a fault."""
    client = GatewayClient(world.root / "nobody.sock", ME)
    world.centre = w.dataclasses.replace(world.centre, gateway=client)
    one = w.session(world)
    one.hello()
    one.prove()
    one.attempt()
    with pytest.raises(Fault, match="centre-fault"):
        one.receipt()
    assert one.end() is not None  # removing is left to the gateway's clock


def test_a_lease_ends_without_anybody_asking(world: World, running: Running) -> None:
    with GatewayClient(running.path, ME) as client:
        client.install(install(world))
        world.clock.mono += w.LEASE_S - 0.2  # the loop has 60 s to sleep yet, until it looks again
        client.remove(["nobody/1"])
        world.clock.mono += 0.2
    until(lambda: not world.peers.peers)


def test_an_interface_that_fails_ends_the_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_server, "RECONCILE_S", 0.1)
    one = Running(world, may(ME, ME))
    world.peers.broken = True
    one.thread.join(PATIENCE_S)
    assert not one.thread.is_alive()
    assert one.failed


def test_a_stranger_on_the_interface_is_put_out_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_server, "RECONCILE_S", 0.1)
    one = Running(world, may(ME, ME))
    world.peers.add(w.Peer(b"x" * 32, ("10.77.0.6/32",)), bytearray(32))
    until(lambda: not world.peers.peers)
    one.close()


def test_the_death_of_an_interfaces_process_ends_ours(world: World) -> None:
    one = Running(world, may(ME, ME))
    theirs, ours = socket.socketpair()
    one.server.watch(ours.fileno())
    one.server._loop.wake()
    theirs.close()  # readable, as a pidfd is when its process dies
    one.thread.join(PATIENCE_S)
    assert one.failed
    ours.close()


def test_a_socket_that_is_its_groups_already_is_given_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway's unit refuses chown(2): its own group is the one that may speak to it."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda _, uid, gid: given.append((uid, gid)))
    path = tmp_path / "gateway.sock"
    own = tmp_path.stat().st_gid if tmp_path.stat().st_mode & stat.S_ISGID else os.getegid()
    for gid, wanted in ((own, []), (own + 1, [(-1, own + 1)]), (-1, [])):
        given.clear()
        with listen(path, gid):
            assert given == wanted
            assert stat.S_IMODE(path.stat().st_mode) == (0o600 if gid < 0 else 0o660)
