"""The port's contract, over whoever runs WireGuard."""

import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import rtnetlink
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.inkernel import of_this_kernel
from sdbox_agent.tunnel.kernel import NETLINK_GENERIC, Links
from sdbox_agent.tunnel.link import WireGuardGo, move
from sdbox_agent.tunnel.uapi import PeerConfig
from sdbox_agent.tunnel.wireguard import WireGuard
from tests.devices import KERNEL, by_either
from tests.waiting import until

pytestmark = [pytest.mark.rig, by_either]
RUNTIME = Path("/run/wireguard")
ONE, OTHER = b"\x01" * 32, b"\x02" * 32
AT, ELSEWHERE = parse_endpoint("192.0.2.1:51820"), parse_endpoint("[2001:db8::1]:9")
INSIDE = ip_network("10.77.0.1/32")
REFUSED = (Fault, OSError, DecodeError)


class Ground:
    """The two namespaces of a tunnel, and one interface to be."""

    def __init__(self, device: str, claim: Claim) -> None:
        RUNTIME.mkdir(mode=0o755, exist_ok=True)
        self.here, self.there = claim.namespace("here"), claim.namespace("there")
        self.links_here, self.links = self.here.run(Links.here), self.there.run(Links.here)
        self._file = self.there.path.open("rb")
        self._generic = self.there.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.wireguard: WireGuard = self._made(device)

    def _made(self, device: str) -> WireGuard:
        name = f"wgt{self.there.path.stat().st_ino % 10**9}"
        if device != KERNEL:
            return WireGuardGo(name, RUNTIME)
        with self.here.entered():
            made = of_this_kernel(name, self.links, self._file.fileno(), self._generic)
        assert made is not None
        return made

    @property
    def name(self) -> str:
        return self.wireguard.name  # type: ignore[attr-defined,no-any-return]

    def start(self) -> None:
        with self.here.entered():
            self.wireguard.start()

    def place(self) -> int:
        found = self.links.index(self.name)
        return found or move(self.name, self.links_here, self.links, self._file.fileno())

    def close(self) -> None:
        self.wireguard.stop()
        own = getattr(self.wireguard, "_here", None)
        for each in (self.links_here, self.links, self._file, self._generic, own):
            if each is not None:
                each.close()


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ground(device: str) -> Iterator[Ground]:
    claim = Claim()
    made = Ground(device, claim)
    yield made
    made.close()
    claim.release()


def test_an_interface_lives_from_start_to_stop(ground: Ground) -> None:
    wireguard = ground.wireguard
    assert not wireguard.running
    ground.start()
    assert wireguard.running
    index = ground.place()
    key = bytearray(b"k" * 32)
    wireguard.configure(key, fwmark=7)
    assert key == bytes(32)
    ground.links.run([rtnetlink.be_quiet(index), rtnetlink.raise_up(index)])
    device = wireguard.device()
    assert (device.fwmark, device.peers) == (7, ())
    assert device.listen_port > 0
    assert (ground.here.links(), ground.there.links()) == ({"lo"}, {"lo", ground.name})
    wireguard.stop()
    wireguard.stop()
    assert not wireguard.running
    assert ground.here.links() == ground.there.links() == {"lo"}


def test_peers_are_added_replaced_moved_and_read(ground: Ground) -> None:
    wireguard = ground.wireguard
    ground.start()
    ground.place()
    wireguard.configure(bytearray(b"k" * 32))
    config = PeerConfig(ONE, (), bytearray(b"p" * 32), AT, 25)
    wireguard.set_peers([config], replace=True)
    wireguard.set_peers([PeerConfig(OTHER, ())], replace=False)
    endpoints = {each.public_key: each.endpoint for each in wireguard.peers()}
    assert endpoints == {ONE: AT, OTHER: None}
    wireguard.move_endpoint(ONE, ELSEWHERE)
    wireguard.move_endpoint(b"\x03" * 32, ELSEWHERE)  # unknown, and stays so
    assert {each.public_key: each.endpoint for each in wireguard.peers()} == {
        ONE: ELSEWHERE,
        OTHER: None,
    }
    wireguard.set_peers([PeerConfig(OTHER, (INSIDE,))], replace=True)
    (peer,) = wireguard.peers()
    assert (peer.public_key, peer.allowed_ips) == (OTHER, (INSIDE,))
    assert (peer.handshake_ns, peer.tx_bytes, peer.rx_bytes) == (0, 0, 0)
    wireguard.set_peers([], replace=True)
    assert wireguard.peers() == ()


@pytest.mark.parametrize(
    "order",
    [
        lambda wireguard: wireguard.configure(bytearray(b"k" * 32)),
        lambda wireguard: wireguard.set_peers([PeerConfig(ONE, ())], replace=True),
        lambda wireguard: wireguard.move_endpoint(ONE, AT),
        lambda wireguard: wireguard.peers(),
    ],
)
def test_whoever_is_gone_refuses_and_is_stopped(
    ground: Ground, order: Callable[[WireGuard], object]
) -> None:
    ground.start()
    index = ground.place()
    ground.links.run([rtnetlink.delete(index)])

    def refuses() -> bool:  # wireguard-go leaves when it sees that its interface is gone
        try:
            order(ground.wireguard)
        except REFUSED:
            return True
        return False

    until(refuses)
    ground.wireguard.stop()
    assert ground.there.links() == {"lo"}


def test_a_taken_name_is_refused(ground: Ground) -> None:
    where: Namespace
    for where in (ground.here, ground.there):
        where.ip(f"link add {ground.name} type veth peer name other")
    with pytest.raises(REFUSED):
        ground.start()
    assert not ground.wireguard.running
