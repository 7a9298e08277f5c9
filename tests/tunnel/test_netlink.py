"""Netlink framing: own bytes come back, others are refused."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import netlink
from sdbox_agent.tunnel.netlink import Reply, Request


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=5))
def test_messages_come_back_as_they_were_framed(messages: list[tuple[int, bytes]]) -> None:
    datagram = b"".join(netlink.frame(Request(kind, 4, body), 9, 1) for kind, body in messages)
    assert netlink.parse(datagram) == [Reply(kind, 5, 9, body) for kind, body in messages]


def test_a_message_is_stamped_where_it_lies() -> None:
    message = bytearray(netlink.frame(Request(16, 0x600, b"body"), 0, 0))
    netlink.stamp(message, 9, 5)
    assert netlink.parse(bytes(message)) == [Reply(16, 5, 9, b"body")]


def test_what_is_read_through_a_view_is_a_view() -> None:
    message = bytearray(netlink.frame(Request(1, 0, netlink.attribute(3, b"key!")), 9, 0))
    (reply,) = netlink.parse(memoryview(message))
    ((_, value),) = netlink.each_attribute(reply.body)
    message[-4:] = bytes(4)  # wiped
    assert value == bytes(4)


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=20), max_size=6))
def test_attributes_come_back_as_they_were_packed(found: dict[int, bytes]) -> None:
    data = b"".join(netlink.attribute(kind, value) for kind, value in found.items())
    assert netlink.attributes(data) == found


@given(st.binary(max_size=200))
@example(b"\x03\0\0\0" + bytes(12))
@example(b"\x03\0\x01\0")
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (netlink.parse, netlink.attributes):
        with contextlib.suppress(DecodeError):
            parse(data)


def test_an_error_number_is_positive_and_never_missing() -> None:
    assert netlink.errno(Reply(2, 0, 1, b"\xfe\xff\xff\xff")) == 2
    assert netlink.errno(Reply(2, 0, 1, bytes(4))) == 0
    with pytest.raises(DecodeError):
        netlink.errno(Reply(2, 0, 1, b"\0"))
