"""[door] The kernel's own WireGuard: what `link.WireGuardGo` is, with no process behind it.

Its interface is born in the session namespace; its UDP socket stays in this process's own, behind
the walls. Nothing ends it but `stop`: what that means for a helper that dies, see `lifeline`.
What the kernel refuses is an OSError.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sdbox_agent.errors import DecodeError
from sdbox_agent.hardening import wipe
from sdbox_agent.tunnel import rtnetlink, wgnetlink
from sdbox_agent.tunnel.kernel import Keyed, Links

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from sdbox_agent.tunnel.config import Endpoint
    from sdbox_agent.tunnel.uapi import Device, PeerConfig, PeerState


def of_this_kernel(
    name: str, there: Links, namespace: int, sock: socket.socket
) -> KernelWireGuard | None:
    """An interface to be, or None where the kernel has no WireGuard, not even as a module.

    `there` and `sock`: route and generic netlink sockets of the namespace that descriptor
    `namespace` names. Raises OSError, DecodeError.
    """
    control = Keyed(sock)
    try:
        family = wgnetlink.parse_family(control.ask(wgnetlink.family()))
    except FileNotFoundError:
        return None
    return KernelWireGuard(name, there, namespace, control, family)


class KernelWireGuard:
    """One interface."""

    pidfd = None  # no process that could die

    def __init__(
        self, name: str, there: Links, namespace: int, control: Keyed, family: int
    ) -> None:
        self.name = name
        self.running = False
        self._here = Links.here()
        self._there = there
        self._namespace = namespace
        self._control = control
        self._family = family

    def start(self) -> None:
        """Make the interface. Its UDP socket is of the namespace that this was made in."""
        self._here.run([rtnetlink.add(self.name, wgnetlink.FAMILY, self._namespace)])
        self.running = True

    def configure(self, private_key: bytearray, fwmark: int = 0) -> None:
        """Key and mark, before any peer. `private_key` is wiped."""
        try:
            text = wgnetlink.set_identity(self._family, self.name, private_key, fwmark)
        finally:
            wipe(private_key)
        self._control.tell(text)

    def set_peers(self, peers: Sequence[PeerConfig], *, replace: bool) -> None:
        """Add or change peers; with `replace`, nobody else remains."""
        self._control.tell(wgnetlink.set_peers(self._family, self.name, peers, replace=replace))

    def move_endpoint(self, public_key: bytes, endpoint: Endpoint) -> None:
        """Where that peer is, once more: its packets find their way and source anew."""
        self._control.tell(wgnetlink.move_endpoint(self._family, self.name, public_key, endpoint))

    def device(self) -> Device:
        """The interface as it is. Raises DecodeError."""
        asked = wgnetlink.get(self._family, self.name)
        return wgnetlink.join(self._control.hear(asked, wgnetlink.parse_part))

    def peers(self) -> tuple[PeerState, ...]:
        """The peers as they are. Raises DecodeError."""
        return self.device().peers

    def stop(self) -> None:
        """No interface. Never raises; safe to call again."""
        self.running = False
        with contextlib.suppress(OSError, DecodeError):  # whoever asks for it, looks
            if index := self._there.index(self.name):
                self._there.run([rtnetlink.delete(index)])
