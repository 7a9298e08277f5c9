"""What only the kernel's WireGuard does; what both do is in test_wireguard."""

import socket
from collections.abc import Iterator

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.tunnel import rtnetlink
from sdbox_agent.tunnel.inkernel import KernelWireGuard, of_this_kernel
from sdbox_agent.tunnel.kernel import NETLINK_GENERIC, Links
from tests.devices import kernel_has_wireguard

pytestmark = pytest.mark.rig
NAME = "wgtest0"


@pytest.fixture
def spaces() -> Iterator[tuple[Namespace, Namespace]]:
    claim = Claim()
    yield claim.namespace("here"), claim.namespace("there")
    claim.release()


def made(here: Namespace, there: Namespace, links: Links, generic: socket.socket) -> object:
    with here.entered(), there.path.open("rb") as namespace:
        found = of_this_kernel(NAME, links, namespace.fileno(), generic)
        if found is not None:
            found.start()
    return found


def test_it_is_there_or_it_is_not_and_if_so_it_speaks_from_where_it_was_made(
    spaces: tuple[Namespace, Namespace],
) -> None:
    here, there = spaces
    links = there.run(Links.here)
    generic = there.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    wireguard = made(here, there, links, generic)
    assert (wireguard is not None) == kernel_has_wireguard()
    if isinstance(wireguard, KernelWireGuard):
        index = links.index(NAME)
        assert index is not None
        links.run([rtnetlink.raise_up(index)])
        port = wireguard.device().listen_port
        with (
            here.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
            pytest.raises(OSError, match="in use"),
        ):
            sock.bind(("", port))
        with there.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", port))
        wireguard.stop()
        wireguard._here.close()
    assert there.links() == {"lo"}
    links.close()
    generic.close()
