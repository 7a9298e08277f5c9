"""A box's settings become its walls."""

from ipaddress import IPv6Network, ip_address

import pytest

from sdbox_agent.profile import schema
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.state.trusted import FileRefused
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.killswitch import Walls
from tests.fuzz.fuzz_profile import BOX, LAN


def test_settings_become_walls() -> None:
    assert walls_of(schema.parse_box(BOX + LAN)) == Walls(
        centre=(parse_endpoint("10.0.0.1:8443"), parse_endpoint("[fd00::1]:8443")),
        uplinks=("eth0", "enx00e04c680001"),
        dhcp=False,
        prefixes=(IPv6Network("2001:db8:2::/64"),),
        resolvers=(ip_address("192.0.2.53"),),
        time_servers=(ip_address("2001:db8:2::7b"),),
    )


def test_a_centre_whose_host_is_an_address_needs_no_other() -> None:
    text = BOX.replace(b"centre.test", b"10.1.2.3").replace(b"addresses", b"# addresses")
    assert walls_of(schema.parse_box(text)).centre == (parse_endpoint("10.1.2.3:8443"),)


def test_a_centre_known_by_name_alone_is_refused() -> None:
    with pytest.raises(FileRefused, match="config-invalid") as caught:
        walls_of(schema.parse_box(BOX.replace(b"addresses", b"# addresses")))
    assert "centre.addresses" in caught.value.reason
