"""Grants that can't be meant, and names that are taken: refused, in words, and nothing stays."""

import pytest

from hil.net.peer import FarPeer
from hil.net.topology import BOX4, BOX6, CENTRE6, UPLINK, Topology
from sdbox_agent.tunnel.config import INTERFACE
from tests.workers.tunnel_parts import Core, code, granted

pytestmark = pytest.mark.rig


@pytest.mark.parametrize(
    "change",
    [
        {"vm": "192.0.2.77"},  # on the host's cable
        {"addresses": ("192.0.2.77/32",)},
        {"vm": CENTRE6},  # the centre's own
        {"addresses": ("10.77.0.2/32", "2001:db8:2::77/128")},
        {"addresses": (f"{BOX4}/32",)},  # this box's own
        {"vm": BOX6},
        {"endpoint": f"{BOX4}:51820"},
        {"endpoint": f"[{BOX6}]:51820"},
    ],
)
def test_a_grant_into_the_hosts_network_is_told_as_such(
    topology: Topology, far: FarPeer, core: Core, change: dict[str, object]
) -> None:
    core.prepare()
    assert code(core.open(far, **change)) == "address-conflict"
    assert topology.session.links() == {"lo"}
    assert not granted(topology)
    core.rise(far)  # and the next one is none the worse
    core.close_tunnel()


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": ("0.0.0.0/0",)},
        {"addresses": ("::/0",)},
        {"addresses": ("10.77.0.0/16",)},
        {"vm": "255.255.255.255"},
        {"vm": "ff02::1"},
        {"vm": "169.254.169.254"},
        {"endpoint": "[fe80::1]:51820"},
        {"endpoint": "0.0.0.0:51820"},
    ],
)
def test_a_grant_of_no_machine_at_all_is_refused(
    topology: Topology, far: FarPeer, core: Core, change: dict[str, object]
) -> None:
    before = topology.box.show("route"), topology.box.show("addr")
    core.prepare()
    assert code(core.open(far, **change)) == "centre-answer-invalid"
    assert topology.session.links() == {"lo"}
    assert (topology.box.show("route"), topology.box.show("addr")) == before


@pytest.mark.parametrize("where", ["box", "session"])
def test_a_name_that_is_taken_costs_one_session_and_is_swept(
    topology: Topology, far: FarPeer, core: Core, where: str
) -> None:
    """Fault 82: somebody else's device has our tunnel's name."""
    core.close_tunnel()  # the helper has started, and found nothing
    getattr(topology, where).ip(f"link add {INTERFACE} type veth peer name taken")
    core.prepare()
    assert code(core.channel.receive()) == "tunnel-fault"
    assert topology.session.links() == {"lo"}
    assert topology.box.links() == {"lo", UPLINK}
    core.rise(far)
    core.close_tunnel()
