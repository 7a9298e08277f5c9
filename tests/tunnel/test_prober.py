"""Only the VM's answers to this tunnel's probes count. Over `lo`, whose kernel answers."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.tunnel.prober import Prober
from tests.waiting import until

pytestmark = pytest.mark.rig
VM = {4: "127.0.0.7", 6: "::1"}


@pytest.fixture
def sockets() -> Iterator[dict[int, socket.socket]]:
    claim = Claim()
    inside = claim.namespace("sess")
    inside.run(_allow_echo_sockets)
    made = {4: _echo(inside, socket.AF_INET, 1), 6: _echo(inside, socket.AF_INET6, 58)}
    yield made
    for each in made.values():
        each.close()
    claim.release()


def _allow_echo_sockets() -> None:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")


def _echo(inside: Namespace, family: int, protocol: int) -> socket.socket:
    made = inside.socket(family, socket.SOCK_DGRAM, protocol)
    made.settimeout(0)
    return made


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("size", [None, 1280])
def test_the_vms_answer_names_its_probe_and_size(
    sockets: dict[int, socket.socket], version: int, size: int | None
) -> None:
    prober = Prober(sockets, ip_address(VM[version]))
    prober.send(7, size)
    reply = until(prober.receive)
    assert reply.sequence == 7
    assert reply.size_bytes == (size or {4: 44, 6: 64}[version]) == prober.sent_bytes


def test_an_answer_to_an_earlier_tunnel_or_of_another_host_is_nobodys(
    sockets: dict[int, socket.socket],
) -> None:
    earlier = Prober(sockets, ip_address(VM[4]))
    now = Prober(sockets, ip_address(VM[4]))
    earlier.send(1, None)
    stranger = Prober(sockets, ip_address("127.0.0.8"))
    stranger._cookie = now._cookie
    stranger.send(2, None)
    now.send(3, None)
    heard = []
    until(lambda: heard.append(now.receive()) or heard[-1])
    assert heard[-1].sequence == 3
    assert heard[:-1].count(None) >= 2


def test_a_probe_that_can_t_be_sent_is_not_counted(sockets: dict[int, socket.socket]) -> None:
    prober = Prober(sockets, ip_address("10.77.0.1"))  # no route
    prober.send(1, None)
    assert prober.sent_bytes == 0
    assert prober.receive() is None
