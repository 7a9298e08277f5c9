"""The box's own way to an endpoint: whether there is one, how wide it is, and when it changes."""

import select
from collections.abc import Iterator

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.errors import Fault
from sdbox_agent.tunnel import path
from sdbox_agent.tunnel.config import FWMARK, parse_endpoint
from sdbox_agent.tunnel.kernel import Bell
from tests.waiting import until

pytestmark = pytest.mark.rig
FAR4 = parse_endpoint("198.51.100.1:51820")
FAR6 = parse_endpoint("[2001:db8:9::1]:51820")


@pytest.fixture
def box() -> Iterator[Namespace]:
    claim = Claim()
    made = claim.namespace("box")
    made.ip(
        "link add uplink type veth peer name far",
        "link set far up",
        "link set uplink up",
        "addr add 192.0.2.2/24 dev uplink",
        "addr add 2001:db8:2::2/64 dev uplink nodad",
    )
    yield made
    claim.release()


def test_without_a_route_there_is_no_way(box: Namespace) -> None:
    for endpoint in (FAR4, FAR6):
        with pytest.raises(Fault, match="no-route"):
            box.run(lambda far=endpoint: path.mtu_bytes(far))


def test_the_ways_size_is_the_routes_or_else_the_devices(box: Namespace) -> None:
    box.ip("route add default via 192.0.2.1", "route add default via 2001:db8:2::1")
    assert box.run(lambda: path.mtu_bytes(FAR4)) == box.run(lambda: path.mtu_bytes(FAR6)) == 1500
    box.ip("route add 198.51.100.0/24 via 192.0.2.1 mtu 576")
    assert box.run(lambda: path.mtu_bytes(FAR4)) == 576
    box.ip("link set uplink mtu 1400")
    assert box.run(lambda: path.mtu_bytes(FAR6)) == 1400


def test_the_way_is_that_of_the_tunnels_own_packets(box: Namespace) -> None:
    box.ip("route add default via 192.0.2.1", f"rule add fwmark {FWMARK:#x} blackhole")
    with pytest.raises(Fault, match="no-route"):
        box.run(lambda: path.mtu_bytes(FAR4))


@pytest.mark.parametrize(
    "command",
    [
        "addr add 192.0.2.9/24 dev uplink",
        "addr del 192.0.2.2/24 dev uplink",
        "addr add 2001:db8:2::9/64 dev uplink nodad",
        "route add default via 192.0.2.1",
        "route add default via 2001:db8:2::1",
    ],
)
def test_a_change_is_told(box: Namespace, command: str) -> None:
    changes = box.run(path.changes)
    until(lambda: is_quiet(changes))
    box.ip(command)
    until(lambda: told(changes))
    until(lambda: is_quiet(changes))
    changes.close()


def test_more_changes_than_are_kept_are_a_change(box: Namespace) -> None:
    changes = box.run(path.changes)
    routes = [f"route {{}} 203.0.113.{n}/32 via 192.0.2.1" for n in range(1, 200)]
    for _ in range(10):
        box.ip(*(route.format("add") for route in routes))
        box.ip(*(route.format("del") for route in routes))
    assert told(changes)
    until(lambda: is_quiet(changes))
    changes.close()


def is_quiet(changes: Bell) -> bool:
    changes.hush()
    return not told(changes)


def told(changes: Bell) -> bool:
    return bool(select.select([changes], [], [], 0)[0])
