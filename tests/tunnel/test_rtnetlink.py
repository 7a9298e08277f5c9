"""Our requests, read back by pyroute2: a second opinion that shares no code with us."""

import contextlib
from ipaddress import ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import netlink, rtnetlink
from sdbox_agent.tunnel.netlink import Reply


def read(kind: type, request: netlink.Request) -> object:
    message = kind(netlink.frame(request, 1, 0))
    message.decode()
    return message


def test_a_link_is_made_in_another_namespace() -> None:
    message = read(ifinfmsg, rtnetlink.add("sdbox0", "wireguard", 42))
    assert message.get_attr("IFLA_IFNAME") == "sdbox0"
    assert message.get_attr("IFLA_NET_NS_FD") == 42
    assert message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "wireguard"
    assert message["header"]["flags"] == 0x600  # NLM_F_CREATE | NLM_F_EXCL


def test_a_link_is_moved_by_number_and_descriptor() -> None:
    message = read(ifinfmsg, rtnetlink.move(7, 42))
    assert message["index"] == 7
    assert message.get_attr("IFLA_NET_NS_FD") == 42
    assert message["change"] == 0


def test_a_link_is_made_quiet_without_being_raised() -> None:
    message = read(ifinfmsg, rtnetlink.be_quiet(7))
    inet6 = message.get_attr("IFLA_AF_SPEC").get_attr("AF_INET6")
    assert inet6.get_attr("IFLA_INET6_ADDR_GEN_MODE") == 1
    assert (message["flags"], message["change"]) == (0, 0)


def test_a_link_is_set_down() -> None:
    message = read(ifinfmsg, rtnetlink.lower(7))
    assert (message["index"], message["flags"], message["change"]) == (7, 0, 1)


def test_a_link_is_raised_and_deleted() -> None:
    message = read(ifinfmsg, rtnetlink.raise_up(7))
    assert (message["index"], message["flags"], message["change"]) == (7, 1, 1)
    assert read(ifinfmsg, rtnetlink.delete(9))["index"] == 9


@pytest.mark.parametrize(("text", "flags"), [("10.77.0.2/32", 0), ("fd77::2/128", 2)])
def test_an_address_is_given(text: str, flags: int) -> None:
    address = ip_interface(text)
    message = read(ifaddrmsg, rtnetlink.add_address(7, address))
    assert (message["index"], message["prefixlen"]) == (7, address.max_prefixlen)
    assert message["family"] == {4: 2, 6: 10}[address.version]
    assert message["flags"] == flags
    assert message.get_attr("IFA_LOCAL") == message.get_attr("IFA_ADDRESS") == str(address.ip)


@pytest.mark.parametrize(("version", "family"), [(4, 2), (6, 10)])
def test_a_default_route_goes_into_the_link(version: int, family: int) -> None:
    message = read(rtmsg, rtnetlink.default_route(7, version))
    assert (message["family"], message["dst_len"], message["table"]) == (family, 0, 254)
    assert message["type"] == 1
    assert message.get_attr("RTA_OIF") == 7
    assert message.get_attr("RTA_DST") is None


def test_a_links_size_is_set() -> None:
    message = read(ifinfmsg, rtnetlink.set_mtu(7, 1280))
    assert (message["index"], message["change"]) == (7, 0)
    assert message.get_attr("IFLA_MTU") == 1280


def test_a_link_of_pyroute2_is_read() -> None:
    message = ifinfmsg()
    message["index"], message["flags"] = 5, 0x1043
    counters = {"rx_packets": 1, "tx_packets": 2, "rx_bytes": 3000, "tx_bytes": 4000}
    message["attrs"] = [
        ("IFLA_MTU", 1420),
        ("IFLA_IFNAME", "sdbox0"),
        ("IFLA_STATS64", {name: counters.get(name, 0) for name, _ in ifinfmsg.ifstats64.fields}),
    ]
    message.encode()
    body = bytes(message.data)[16 : message["header"]["length"]]
    link = rtnetlink.Link(5, "sdbox0", up=True, received_bytes=3000, sent_bytes=4000)
    assert rtnetlink.parse_link(Reply(16, 2, 1, body)) == link


@given(st.integers(0, 20), st.binary(max_size=80))
def test_arbitrary_bytes_are_a_link_or_refused(kind: int, body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        rtnetlink.parse_link(Reply(kind, 0, 1, body))


def test_every_link_is_asked_for() -> None:
    request = rtnetlink.links()
    message = read(ifinfmsg, request)
    assert (message["index"], message["family"]) == (0, 0)
    assert request.flags & 0x300 == 0x300  # NLM_F_ROOT | NLM_F_MATCH: a dump


@pytest.mark.parametrize("name", [b"", b"\0", b"lo", b"x" * 16 + b"\0"])
def test_a_link_without_a_sound_name_is_refused(name: bytes) -> None:
    body = bytes(16) + netlink.attribute(3, name) + netlink.attribute(23, bytes(192))
    for reply in (Reply(16, 2, 1, body), Reply(17, 2, 1, body), Reply(16, 2, 1, b"short")):
        with pytest.raises(DecodeError):
            rtnetlink.parse_link(reply)


def test_a_link_without_its_counters_is_refused() -> None:
    named = bytes(16) + netlink.text(3, "lo")
    for body in (named, named + netlink.attribute(23, bytes(31))):
        with pytest.raises(DecodeError):
            rtnetlink.parse_link(Reply(16, 2, 1, body))


@pytest.mark.parametrize("text", ["192.0.2.2/24", "2001:db8:2::2/64", "10.0.0.1/32"])
def test_an_address_of_pyroute2_is_read(text: str) -> None:
    address = ip_interface(text)
    message = ifaddrmsg()
    message["family"] = {4: 2, 6: 10}[address.version]
    message["prefixlen"] = address.network.prefixlen
    message["attrs"] = [("IFA_ADDRESS", str(address.ip)), ("IFA_CACHEINFO", {})]
    message.encode()
    body = bytes(message.data)[16 : message["header"]["length"]]
    assert rtnetlink.parse_address(Reply(20, 2, 1, body)) == address


@given(st.integers(0, 25), st.binary(max_size=80))
def test_arbitrary_bytes_are_an_address_or_refused(kind: int, body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        rtnetlink.parse_address(Reply(kind, 0, 1, body))


def test_an_address_of_no_length_is_refused() -> None:
    for body in (
        b"short",
        bytes(8),
        bytes(8) + netlink.attribute(1, b"123"),
        b"\2\x21" + bytes(6) + netlink.attribute(1, bytes(4)),
    ):
        with pytest.raises(DecodeError):
            rtnetlink.parse_address(Reply(20, 2, 1, body))


def test_every_address_is_asked_for() -> None:
    message = read(ifaddrmsg, rtnetlink.addresses())
    assert (message["index"], message["family"]) == (0, 0)
    assert rtnetlink.addresses().flags & 0x300 == 0x300
