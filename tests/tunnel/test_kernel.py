"""Requests to the kernel, and its bells."""

import select
import socket
from collections.abc import Iterator

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.tunnel import netlink, rtnetlink
from sdbox_agent.tunnel.kernel import NETLINK_GENERIC, Bell, Keyed, Links
from sdbox_agent.tunnel.netlink import Request


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    claim = Claim()
    yield claim.namespace("here")
    claim.release()


@pytest.mark.rig
def test_a_kernels_refusal_has_its_errno(namespace: Namespace) -> None:
    links = namespace.run(Links.here)
    with pytest.raises(OSError, match="No such device"):
        links.run([rtnetlink.raise_up(4242)])
    assert [link.name for link in links.all()] == ["lo"]  # and the socket is still in step
    links.close()


@pytest.mark.rig
def test_a_bell_that_rang_more_than_it_can_count_has_rung(namespace: Namespace) -> None:
    bell = namespace.run(lambda: Bell(socket.NETLINK_ROUTE, rtnetlink.RTMGRP_LINK))
    bell._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    namespace.ip(*(f"link add d{n} type veth peer name e{n}" for n in range(40)))
    assert select.select([bell], [], [], 30)[0]
    bell.hush()
    assert not select.select([bell], [], [], 0)[0]
    namespace.ip("link set d1 up")
    assert select.select([bell], [], [], 30)[0]
    bell.close()


def test_a_bell_that_never_ceases_holds_nobody_up() -> None:
    class Ceaseless:
        def recv(self, _size: int) -> bytes:
            return b"."

    bell = Bell(socket.NETLINK_ROUTE, rtnetlink.RTMGRP_LINK)
    bell.close()
    bell._sock = Ceaseless()  # type: ignore[assignment]
    bell.hush()


def test_a_dump_that_somebody_left_unread_hinders_no_other() -> None:
    """A helper that is killed while it asks leaves its socket, and that to its successor."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        for _ in range(2):
            sock.sendto(netlink.frame(rtnetlink.links(), 1, netlink.NLM_F_REQUEST), (0, 0))
            names = [link.name for link in Links(sock).all()]
            assert "lo" in names
            assert len(set(names)) == len(names), "of one dump"


def test_keys_told_and_heard_are_wiped() -> None:
    """Of the kernel's own family of families, which has no keys."""
    seen: list[memoryview] = []

    def read(body: memoryview) -> bytes:
        seen.append(body)
        return bytes(body)

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock:
        keyed = Keyed(sock)
        families = keyed.hear(Request(0x10, netlink.NLM_F_DUMP, b"\x03\x01\0\0"), read)
        assert any(b"nlctrl\0" in each for each in families)
        assert not any(any(each) for each in seen)
        refused = bytearray(netlink.frame(Request(0x10, 0, b"\xff\x01\0\0secret!!"), 0, 0))
        with pytest.raises(OSError, match="not supported"):
            keyed.tell(refused)
        assert not any(refused)
        again = keyed.hear(Request(0x10, netlink.NLM_F_DUMP, b"\x03\x01\0\0"), read)
        assert again == families  # and the socket is still in step


def test_a_refusal_repeats_no_request() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock:
        Keyed(sock)
        frame = netlink.frame(Request(0x10, 0, b"\xff\x01\0\0secret!!"), 1, netlink.NLM_F_REQUEST)
        sock.sendto(frame, (0, 0))
        assert b"secret" not in sock.recv(4096)


def test_a_dump_that_is_refused_has_its_errno() -> None:
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock,
        pytest.raises(OSError, match="not supported"),
    ):
        Keyed(sock).hear(Request(0x10, netlink.NLM_F_DUMP, b"\xff\x01\0\0"), bytes)
