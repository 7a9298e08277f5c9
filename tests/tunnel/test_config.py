"""Tunnel descriptions: what is taken, and which grants are absurd."""

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_interface

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import config
from sdbox_agent.tunnel.config import Endpoint

GOOD = {
    "peer": b"p" * 32,
    "endpoint": "192.0.2.1:51820",
    "addresses": ("10.77.0.2/32", "fd77::2/128"),
    "vm": "10.77.0.1",
    "lease_s": 60,
}


def test_a_sound_grant_becomes_typed_addresses() -> None:
    tunnel = config.parse(**GOOD)
    assert tunnel.endpoint == Endpoint(IPv4Address("192.0.2.1"), 51820)
    assert tunnel.addresses == (ip_interface("10.77.0.2/32"), ip_interface("fd77::2/128"))
    assert tunnel.vm == IPv4Address("10.77.0.1")


def test_no_key_is_shown_when_a_tunnel_is_printed() -> None:
    assert "kkkk" not in repr(config.parse(**GOOD))


@pytest.mark.parametrize(
    "change",
    [
        {"addresses": ()},
        {"addresses": ("0.0.0.0/0",)},
        {"addresses": ("10.77.0.2/24",)},
        {"addresses": ("10.77.0.2",)},
        {"addresses": ("10.77.0.2/",)},
        {"addresses": ("10.77.0.2/32", "10.77.0.3/32")},
        {"addresses": ("127.0.0.1/32",)},
        {"addresses": ("10.77.0.1/32",)},  # the VM's
        {"addresses": ("192.0.2.1/32",)},  # the gateway's
        {"vm": "192.0.2.1"},
        {"vm": "10.77.0.2"},
        {"vm": "fd77::1", "addresses": ("10.77.0.2/32",)},
        {"vm": "224.0.0.1"},
        {"vm": "0.0.0.0"},
        {"vm": "255.255.255.255"},
        {"vm": "240.0.0.1"},
        {"vm": "169.254.1.1"},
        {"vm": "010.077.0.1"},
        {"vm": "::ffff:10.77.0.1"},
        {"vm": "fe80::1%lo"},
        {"vm": "fec0::1"},  # site-local, gone since RFC 3879
        {"vm": "::10.77.0.1"},
        {"vm": "64:ff9b::a4d:1"},
        {"vm": "2002:a4d:1::1"},
        {"vm": "2001:0:a4d:1::1"},
        {"vm": "ff02::1"},
        {"endpoint": "[ff02::1]:51820"},
        {"endpoint": "[fe80::1]:51820"},
        {"endpoint": "224.0.0.1:51820"},
        {"endpoint": "255.255.255.255:51820"},
        {"endpoint": "10.77.0.2:51820"},  # ours, inside
        {"endpoint": "10.77.0.1:51820"},  # the VM's
        {"endpoint": "localhost:51820"},
        {"endpoint": "127.0.0.1:51820"},
        {"endpoint": "[::1]:51820"},
        {"endpoint": "[::]:51820"},
        {"endpoint": "192.0.2.1:0"},
        {"endpoint": "192.0.2.1:65536"},
        {"endpoint": "192.0.2.1:051820"},
        {"endpoint": "192.0.2.1"},
        {"endpoint": "192.0.2.1:51820\nprivate_key=00"},
        {"endpoint": "2001:db8::1:51820"},
        {"endpoint": "[192.0.2.1]:51820"},
        {"endpoint": "[2001:DB8::1]:51820"},
        {"peer": bytes(32)},
        {"peer": b"p" * 31},
    ],
)
def test_an_absurd_grant_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        config.parse(**{**GOOD, **change})


@given(st.ip_addresses(), st.integers(1, 0xFFFF))
def test_an_endpoint_comes_back_as_it_was_written_or_is_refused(
    address: IPv4Address | IPv6Address, port: int
) -> None:
    endpoint = Endpoint(address, port)
    try:
        assert config.parse_endpoint(str(endpoint)) == endpoint
    except DecodeError:
        assert not address.is_global or address.is_multicast or address.version == 6


@given(st.text(max_size=60) | st.from_regex(r"[\[\]0-9a-f:.%]{0,40}:[0-9]{1,6}", fullmatch=True))
@example("[fe80::1%1]:1")
@example("1.1.1.1:٣")
def test_arbitrary_text_is_an_endpoint_or_one_error(text: str) -> None:
    with contextlib.suppress(DecodeError):
        assert str(config.parse_endpoint(text)) == text


NET = st.builds(
    lambda a, n: ip_interface((a, n)), st.integers(0, 2**32 - 1), st.integers(0, 32)
) | (
    st.builds(
        lambda a, n: ip_interface((a, n)), st.integers(2**32, 2**128 - 1), st.integers(0, 128)
    )
)


@given(st.text(max_size=50) | st.ip_addresses().map(str))
@example("0.0.0.0")
def test_a_machine_is_an_address_that_hosts_are_given_or_one_error(text: str) -> None:
    """Whatever else it may be, no grant leads to this box, to everybody, or round a corner."""
    with contextlib.suppress(DecodeError):
        vm = config.parse(**{**GOOD, "vm": text}).vm
        assert str(vm) == text
        odd = (vm.is_loopback, vm.is_multicast, vm.is_link_local, vm.is_unspecified)
        assert not any(odd)
        if isinstance(vm, IPv6Address):
            assert vm.is_global or vm.is_private
            assert vm.ipv4_mapped is vm.sixtofour is vm.teredo is None


@pytest.mark.parametrize(
    "around",
    [
        "10.77.0.9/24",  # the VM's and ours
        "10.0.0.1/8",
        "10.77.0.1/32",
        "fd77::9/64",
        "192.0.2.1/24",  # the gateway is the box itself
        "0.0.0.0/0",
    ],
)
def test_a_tunnel_into_the_hosts_own_network_is_refused(around: str) -> None:
    with pytest.raises(Fault, match="address-conflict"):
        config.check_place(
            config.parse(**GOOD), [ip_interface("127.0.0.1/8"), ip_interface(around)]
        )


def test_a_gateway_on_the_hosts_cable_is_none_of_its_inside() -> None:
    around = [
        ip_interface(each) for each in ("192.0.2.2/24", "::1/128", "fe80::1/64", "10.78.0.1/16")
    ]
    config.check_place(config.parse(**GOOD), around)


@given(st.lists(NET, max_size=4))
def test_a_place_is_refused_exactly_where_an_address_would_mean_two_machines(
    around: list[object],
) -> None:
    tunnel = config.parse(**GOOD)
    inside = [tunnel.vm, *(address.ip for address in tunnel.addresses)]
    clash = any(
        each.ip == tunnel.endpoint.address or any(address in each.network for address in inside)
        for each in around
    )
    try:
        config.check_place(tunnel, around)
        assert not clash
    except Fault:
        assert clash
