"""Flows as ctnetlink tells them; pyroute2 is the second opinion on the request."""

import contextlib
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import netlink
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.conntrack import Flow, flows, parse_flow
from sdbox_agent.tunnel.netlink import Reply, attribute, nested

NEW, SEEN_REPLY = 0x100, 2
ENDPOINTS = ["192.0.2.1:51820", "[2001:db8::1]:51820"]


def told(endpoint: str, *, protocol: int = 17, status: int = 0) -> Reply:
    """As the kernel tells of a flow from port 40000."""
    far = parse_endpoint(endpoint)
    source, destination = (1, 2) if far.address.version == 4 else (3, 4)
    ours = bytes(len(far.address.packed))
    there = nested(
        1,
        nested(1, attribute(source, ours), attribute(destination, far.address.packed)),
        nested(
            2,
            attribute(1, bytes([protocol])),
            attribute(2, struct.pack("!H", 40000)),
            attribute(3, struct.pack("!H", far.port)),
        ),
    )
    return Reply(NEW, 2, 1, bytes(4) + there + attribute(3, struct.pack("!I", status)))


@pytest.mark.parametrize(("version", "family"), [(4, 2), (6, 10)])
def test_every_flow_of_a_family_is_asked_for(version: int, family: int) -> None:
    request = flows(version)
    message = nfct_msg(netlink.frame(request, 1, 1))
    message.decode()
    assert message["nfgen_family"] == family
    assert message["header"]["type"] == 0x101
    assert request.flags == 0x300


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("status", [0, SEEN_REPLY, 0x18E & ~SEEN_REPLY, 0x18E])
def test_a_flow_says_whether_anything_came_back(endpoint: str, status: int) -> None:
    answered = bool(status & SEEN_REPLY)
    flow = parse_flow(told(endpoint, status=status))
    assert flow == Flow(40000, parse_endpoint(endpoint), answered)


def test_pyroute2_reads_the_same_in_it() -> None:
    reply = told(ENDPOINTS[0], status=SEEN_REPLY)
    message = nfct_msg(netlink.frame(netlink.Request(NEW, 0, reply.body), 1, 0))
    message.decode()
    there = message.get_attr("CTA_TUPLE_ORIG")
    assert there.get_attr("CTA_TUPLE_IP").get_attr("CTA_IP_V4_DST") == str(ip_address("192.0.2.1"))
    assert there.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_DST_PORT") == 51820


def test_what_is_not_udp_is_passed_over() -> None:
    assert parse_flow(told(ENDPOINTS[0], protocol=6)) is None


def test_what_is_not_a_whole_flow_is_refused() -> None:
    whole = told(ENDPOINTS[0])
    for reply in (
        Reply(NEW + 1, 0, 1, whole.body),
        Reply(NEW, 0, 1, b""),
        Reply(NEW, 0, 1, whole.body[:-8]),
        Reply(NEW, 0, 1, bytes(4) + nested(1, nested(2, attribute(1, b"\x11")))),
    ):
        with pytest.raises(DecodeError):
            parse_flow(reply)


@given(st.integers(0, 0x110), st.binary(max_size=120))
def test_arbitrary_bytes_are_a_flow_or_refused(kind: int, body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        parse_flow(Reply(kind, 0, 1, body))


@given(st.data())
def test_a_flow_with_a_byte_changed_is_a_flow_or_refused(data: st.DataObject) -> None:
    body = bytearray(told(ENDPOINTS[data.draw(st.integers(0, 1))]).body)
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DecodeError):
        parse_flow(Reply(NEW, 0, 1, bytes(body)))
