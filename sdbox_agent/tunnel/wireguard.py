"""The port: one WireGuard interface, whoever runs it (`link.WireGuardGo`, `inkernel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdbox_agent.tunnel.config import Endpoint
    from sdbox_agent.tunnel.uapi import Device, PeerConfig, PeerState


class WireGuard(Protocol):
    """Everything but `stop` raises Fault, OSError or DecodeError, and after that nothing but it.

    A set that failed may have been half done.
    """

    @property
    def pidfd(self) -> int | None:
        """Readable when it has died by itself; None where there is no process that could."""

    @property
    def running(self) -> bool:
        """Has it been started, and not stopped?"""

    def start(self) -> None:
        """Make the interface: in the session namespace, or to be moved there."""

    def configure(self, private_key: bytearray, fwmark: int = 0) -> None:
        """Key and mark, before any peer. `private_key` is wiped."""

    def set_peers(self, peers: Sequence[PeerConfig], *, replace: bool) -> None:
        """Add or change peers; with `replace`, nobody else remains."""

    def move_endpoint(self, public_key: bytes, endpoint: Endpoint) -> None:
        """Where a peer is, once more: its packets find their way and source anew."""

    def device(self) -> Device:
        """The interface as it is."""

    def peers(self) -> tuple[PeerState, ...]:
        """The peers as they are."""

    def stop(self) -> None:
        """No peer, no interface. Never raises; safe to call again."""
