"""The kernel's WireGuard in bytes: pyroute2 words the same, and answers are read or refused."""

import contextlib
import struct
from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyroute2.netlink.generic.wireguard import wgmsg

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import netlink, wgnetlink
from sdbox_agent.tunnel.config import Endpoint, parse_endpoint
from sdbox_agent.tunnel.netlink import attribute, nested, text
from sdbox_agent.tunnel.uapi import MAX_ALLOWED_IPS, MAX_PEERS, Device, PeerConfig, PeerState

FAMILY = 0x1C
KEY = bytes(range(1, 33))
PSK = bytes(range(101, 133))
PEER = b"\x07" * 32
KEYS = st.binary(min_size=32, max_size=32)
ENDPOINTS = st.builds(Endpoint, st.ip_addresses(), st.integers(1, 0xFFFF))
NETWORKS = st.ip_addresses().flatmap(
    lambda host: st.integers(0, host.max_prefixlen).map(
        lambda prefix: ip_network((host, prefix), strict=False)
    )
)
CONFIGS = st.builds(
    PeerConfig,
    KEYS,
    st.lists(NETWORKS, max_size=4).map(tuple),
    st.none() | KEYS.map(bytearray),
    st.none() | ENDPOINTS,
    st.none() | st.integers(0, 0xFFFF),
)


def asked(message: bytearray) -> wgmsg:
    """As pyroute2 reads it."""
    read = wgmsg(bytes(message))
    read.decode()
    assert (read["header"]["type"], read["header"]["length"]) == (FAMILY, len(message))
    assert (read["cmd"], read["version"]) == (1, 1)
    assert read.get_attr("WGDEVICE_A_IFNAME") == "sdbox0"
    return read


def test_identity_is_key_and_mark_and_the_key_is_in_one_place() -> None:
    key = bytearray(KEY)
    message = wgnetlink.set_identity(FAMILY, "sdbox0", key, 0x5DB0)
    read = asked(message)
    assert read.get_attr("WGDEVICE_A_FWMARK") == 0x5DB0
    assert message.count(KEY) == 1
    told = netlink.attributes(bytes(message[20:]))
    assert told[3] == KEY
    assert key == KEY  # its owner wipes it


@given(st.lists(CONFIGS, max_size=4), st.booleans())
def test_peers_are_worded_as_another_program_reads_them(
    peers: list[PeerConfig], replace: bool
) -> None:
    message = wgnetlink.set_peers(FAMILY, "sdbox0", peers, replace=replace)
    assert asked(message).get_attr("WGDEVICE_A_FLAGS") == int(replace)
    listed = netlink.each_attribute(netlink.attributes(bytes(message[20:]))[8])
    assert len(listed) == len(peers)
    for (_, words), peer in zip(listed, peers, strict=True):
        told = netlink.attributes(words)
        assert told[1] == peer.public_key
        assert told.get(2) == peer.psk
        assert told.get(5) == (
            None if peer.keepalive_s is None else struct.pack("=H", peer.keepalive_s)
        )
        (found,) = wgnetlink.parse_part(
            memoryview(bytes(4) + nested(8, nested(0, words)))
        ).peers  # what is asked for is worded as what is answered
        assert (found.endpoint, found.allowed_ips) == (peer.endpoint, peer.allowed_ips)


def test_a_moved_endpoint_is_for_a_peer_that_is_there() -> None:
    endpoint = parse_endpoint("[2001:db8::1]:51820")
    read = asked(wgnetlink.move_endpoint(FAMILY, "sdbox0", PEER, endpoint))
    (peer,) = read.get_attr("WGDEVICE_A_PEERS")
    assert peer.get_attr("WGPEER_A_FLAGS") == 4  # WGPEER_F_UPDATE_ONLY
    assert peer.get_attr("WGPEER_A_ENDPOINT")["addr"] == "2001:db8::1"
    assert peer.get_attr("WGPEER_A_ENDPOINT")["port"] == 51820


def test_the_family_is_asked_for_by_name() -> None:
    request = wgnetlink.family()
    assert request.kind == 0x10
    assert request.body == b"\x03\x01\0\0" + text(2, "wireguard")
    answer = netlink.Reply(0x10, 0, 1, b"\x01\x02\0\0" + attribute(1, struct.pack("=H", 28)))
    assert wgnetlink.parse_family(answer) == 28


def test_an_interface_is_asked_for_by_name() -> None:
    request = wgnetlink.get(FAMILY, "sdbox0")
    assert (request.kind, request.flags) == (FAMILY, netlink.NLM_F_DUMP)
    assert request.body == b"\0\x01\0\0" + text(2, "sdbox0")


# -- answers ---------------------------------------------------------------------------------------


def told_peer(public_key: bytes = PEER, *more: bytes) -> bytes:
    return nested(0, attribute(1, public_key), attribute(2, PSK), *more)


def allowed(prefix: int = 32, host: bytes = bytes((10, 77, 0, 2))) -> bytes:
    return nested(0, attribute(1, b"\x02\0"), attribute(2, host), attribute(3, bytes([prefix])))


def told(*peers: bytes) -> bytes:
    head = attribute(3, KEY) + attribute(6, struct.pack("=H", 40000))
    return bytes(4) + head + attribute(7, struct.pack("=I", 0x5DB0)) + nested(8, *peers)


SOCKADDR = struct.pack("=H", 2) + struct.pack("!H4s8x", 51820, bytes((192, 0, 2, 1)))
WHOLE = told(
    told_peer(
        PEER,
        attribute(4, SOCKADDR),
        attribute(6, struct.pack("=qq", 5, 7)),
        attribute(7, struct.pack("=Q", 148)),
        attribute(8, struct.pack("=Q", 296)),
        nested(9, allowed()),
        attribute(10, struct.pack("=I", 1)),
    )
)
STATE = PeerState(
    PEER, parse_endpoint("192.0.2.1:51820"), 5 * 10**9 + 7, 296, 148, (ip_network("10.77.0.2/32"),)
)


def read(body: bytes) -> Device:
    return wgnetlink.parse_part(memoryview(body))


def test_an_answer_is_read_and_its_keys_are_not() -> None:
    device = wgnetlink.join([read(WHOLE)])
    assert device == Device(40000, 0x5DB0, (STATE,))
    assert KEY not in repr(device).encode() + b"".join(each.public_key for each in device.peers)


def test_a_new_interface_has_no_port_mark_or_peer() -> None:
    assert wgnetlink.join([read(bytes(4))]) == Device(0, 0, ())


def test_a_peer_goes_on_in_the_next_part() -> None:
    more = read(
        bytes(4) + nested(8, nested(0, attribute(1, PEER), nested(9, allowed(24, bytes(4)))))
    )
    other = read(bytes(4) + nested(8, nested(0, attribute(1, bytes(32)))))
    device = wgnetlink.join([read(WHOLE), more, other])
    assert (device.listen_port, device.fwmark) == (40000, 0x5DB0)
    first, second = device.peers
    assert first.allowed_ips == (ip_network("10.77.0.2/32"), ip_network("0.0.0.0/24"))
    assert first.handshake_ns == STATE.handshake_ns
    assert second.public_key == bytes(32)


@pytest.mark.parametrize(
    "body",
    [
        told(told_peer(b"short")),
        told(told_peer(PEER, attribute(4, SOCKADDR[:-1]))),
        told(told_peer(PEER, attribute(4, b"\x09\0" + SOCKADDR[2:]))),
        told(told_peer(PEER, attribute(6, struct.pack("=qq", -1, 0)))),
        told(told_peer(PEER, attribute(6, struct.pack("=qq", 0, 10**9)))),
        told(told_peer(PEER, attribute(6, bytes(8)))),
        told(told_peer(PEER, attribute(7, bytes(4)))),
        told(told_peer(PEER, nested(9, allowed(33)))),
        told(told_peer(PEER, nested(9, allowed(24)))),  # bits beyond the prefix
        told(told_peer(PEER, nested(9, allowed(32, b"\x0a\x4d")))),
        bytes(4) + attribute(6, bytes(4)),
        bytes(4) + b"\x08",
    ],
)
def test_an_answer_that_cannot_be_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        read(body)


def test_no_answer_and_too_much_of_one_are_refused() -> None:
    crowd = tuple(PeerState(n.to_bytes(32, "big"), None, 0, 0, 0, ()) for n in range(MAX_PEERS + 1))
    many = PeerState(PEER, None, 0, 0, 0, STATE.allowed_ips * (MAX_ALLOWED_IPS + 1))
    for parts in ([], [Device(0, 0, crowd)], [Device(0, 0, (many,))]):
        with pytest.raises(DecodeError):
            wgnetlink.join(parts)


@given(st.binary(max_size=300))
@example(WHOLE)
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        wgnetlink.join([read(body)])
    with contextlib.suppress(DecodeError):
        wgnetlink.parse_family(netlink.Reply(0x10, 0, 1, body))
