"""Tunnel descriptions: what is taken, and which grants are absurd."""

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_interface

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import config
from sdbox_agent.tunnel.config import Endpoint

GOOD = {
    "peer": b"p" * 32,
    "psk": b"k" * 32,
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
        {"psk": b"k" * 33},
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
