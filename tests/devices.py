"""Both who run WireGuard: wireguard-go anywhere, and the kernel where it can (`make hil-vm`)."""

import functools
import socket

import pytest

from sdbox_agent.tunnel import wgnetlink
from sdbox_agent.tunnel.kernel import NETLINK_GENERIC, Netlink

USERSPACE, KERNEL = "wireguard-go", "kernel"


@functools.cache
def kernel_has_wireguard() -> bool:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock:
        try:
            Netlink(sock).ask(wgnetlink.family())
        except FileNotFoundError:
            return False
    return True


in_kernel = pytest.param(
    KERNEL,
    marks=pytest.mark.skipif(
        not kernel_has_wireguard(), reason="no WireGuard in this kernel: make hil-vm has one"
    ),
)
by_either = pytest.mark.parametrize("device", [USERSPACE, in_kernel], indirect=True)
by_kernel = pytest.mark.parametrize("device", [in_kernel], indirect=True)
