"""Requests to the kernel, and its bells."""

import select
import socket
from collections.abc import Iterator

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.tunnel import rtnetlink
from sdbox_agent.tunnel.kernel import Bell, Links


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
