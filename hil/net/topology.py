"""The rig's namespaces, cabled as the package's picture shows."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.net import linux
from hil.net.allowed import Allowed
from hil.net.host import TO_BOX, TO_CENTRE, Host
from hil.net.namespace import Claim
from sdbox_agent.tunnel.config import parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.net.observe import Cable

BOX4, CENTRE4 = "192.0.2.2", "192.0.2.1"  # RFC 5737
CARRIER4: Final = "192.0.2.3"  # the centre's too: where WireGuard is carried over TLS
PROXY4: Final = "192.0.2.9"  # the host's; it is on the centre's side of the only cable
BOX6, CENTRE6 = "2001:db8:2::2", "2001:db8:2::1"  # RFC 3849
CENTRE_API: Final = (f"{CENTRE4}:443", f"[{CENTRE6}]:443")
UPLINK: Final = "uplink"  # the box's device
CENTRE_SIDE: Final = "box"  # the other end of that cable


def allowed(
    gateways: Iterable[str],
    own: Iterable[str] = (BOX4, BOX6),
    carriers: Iterable[str] = (),
    proxies: Iterable[str] = (),
) -> Allowed:
    """What an oracle lets out of the box here: TLS to the centre, WireGuard to these endpoints."""
    return Allowed(
        own=frozenset(map(ip_address, own)),
        centre=frozenset(map(parse_endpoint, CENTRE_API)),
        gateways=frozenset(map(parse_endpoint, gateways)),
        carriers=frozenset(map(parse_endpoint, carriers)),
        proxies=frozenset(map(parse_endpoint, proxies)),
    )


class Topology:
    """Box, session, centre and one VM, from `with` to its end.

    With `hostile`, the cable between box and centre goes through the hands of a `host`.
    """

    def __init__(self, vms: int = 1, *, hostile: bool = False) -> None:
        self._vms = vms
        self._hostile = hostile
        self._host: Host | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Topology:
        with contextlib.ExitStack() as stack:
            claim = Claim()
            stack.callback(claim.release)
            self.box, self.session, self.centre = (
                claim.namespace(part) for part in ("box", "sess", "centre")
            )
            self.vm = [claim.namespace(f"vm{n + 1}") for n in range(self._vms)]
            if self._hostile:
                self._between = claim.namespace("host")
                self._cable_through_host()
                self._host = stack.enter_context(Host(self._between))
            else:
                self._cable()
            self._address()
            self.session.run(allow_echo_sockets)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def cable(self) -> Cable:
        """The other end of the box's cable: where a witness sits."""
        return (self.centre, CENTRE_SIDE) if self._host is None else (self._between, TO_BOX)

    @property
    def host(self) -> Host:
        """Who sits between."""
        assert self._host is not None, "only where it is hostile"
        return self._host

    def _cable_through_host(self) -> None:
        near = f"link add {UPLINK} type veth peer name {TO_BOX} netns {self._between.name}"
        far = f"link add {CENTRE_SIDE} type veth peer name {TO_CENTRE} netns {self._between.name}"
        self.box.ip(near)
        self.centre.ip(far)
        self._between.ip(f"link set {TO_BOX} up", f"link set {TO_CENTRE} up")
        # What a relay takes up has to be whole.
        self.box.run(lambda: linux.checksum_at_once(UPLINK))
        self.centre.run(lambda: linux.checksum_at_once(CENTRE_SIDE))

    def _cable(self) -> None:
        self.box.ip(f"link add {UPLINK} type veth peer name {CENTRE_SIDE} netns {self.centre.name}")

    def _address(self) -> None:
        self.box.ip(
            f"link set {UPLINK} up",
            f"addr add {BOX4}/24 dev {UPLINK}",
            f"addr add {BOX6}/64 dev {UPLINK} nodad",
        )
        self.centre.ip(
            f"link set {CENTRE_SIDE} up",
            *(f"addr add {each}/24 dev {CENTRE_SIDE}" for each in (CENTRE4, CARRIER4, PROXY4)),
            f"addr add {CENTRE6}/64 dev {CENTRE_SIDE} nodad",
        )


def allow_echo_sockets() -> None:
    """icmp(7): who may open an echo socket. Root alone, who opens them for the helper."""
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
