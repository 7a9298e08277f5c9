"""The tunnel's side: its keys, a tunnel, and the word that nothing is up."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sdbox_agent import ipc
from sdbox_agent.errors import Fault
from sdbox_agent.session import events as on

if TYPE_CHECKING:
    from sdbox_agent.centre import wire
    from sdbox_agent.daemon.context import Context
    from sdbox_agent.daemon.links import Link


class TunnelSide:
    """Speaks to the tunnel helper, or to its successor."""

    link: Link[ipc.FromTunnel]

    def __init__(
        self, context: Context, proxy: str | None = None, *, userspace: bool = False
    ) -> None:
        """`proxy`: who a carrier asks for its connection, where the host has one.

        `userspace`: this model of box is not to use its kernel's WireGuard.
        """
        self._context = context
        self._proxy = proxy
        self._userspace = userspace
        self._down_asked: int | None = None  # session whose tunnel must be confirmed down

    def warm(self, n: int) -> None:
        """A session is on its way; nothing is answered."""
        self.link.send(ipc.WarmTunnel(n=n, userspace=self._userspace))

    def prepare(self, n: int) -> None:
        """-> TunnelPrepared."""
        self.link.send(ipc.PrepareTunnel(n=n, userspace=self._userspace))

    def open(self, n: int, lease: wire.ReceiptAnswer, receipt_sha256: bytes) -> None:
        """-> TunnelUp."""
        self.link.send(
            ipc.OpenTunnel(
                n=n,
                peer=lease.peer,
                endpoint=lease.endpoint,
                psk_salt=lease.psk_salt,
                kem_ciphertext=lease.kem_ciphertext,
                receipt_sha256=receipt_sha256,
                addresses=lease.addresses,
                vm=lease.vm,
                lease_s=lease.lease_s,
                carrier=self._carrier(lease.carrier),
            )
        )

    def _carrier(self, offered: wire.Carrier | None) -> ipc.Carrier | None:
        if offered is None:
            return None
        return ipc.Carrier(
            endpoint=offered.endpoint, pin=offered.pin, token=offered.token, proxy=self._proxy
        )

    def extend(self, n: int, lease_s: int) -> None:
        """The lease was renewed."""
        self.link.send(ipc.ExtendLease(n=n, lease_s=lease_s))

    def take_down(self, n: int) -> None:
        """-> TunnelDown. A helper that is away is asked as soon as it is back."""
        self._down_asked = n
        with contextlib.suppress(Fault):
            self.link.send(ipc.CloseTunnel(n=n))

    def connected(self) -> None:
        """The helper is there."""
        if self._down_asked is not None:
            self.take_down(self._down_asked)

    def lost(self) -> None:
        """Its tunnel died with it, but only its successor can say so."""
        self._context.lost("tunnel-worker-died")

    def heard(self, message: ipc.FromTunnel) -> None:
        """A message of the helper."""
        self._context.guard(message.n, lambda: self._heard(message))

    def _heard(self, message: ipc.FromTunnel) -> None:
        n = message.n
        match message:
            case ipc.TunnelPrepared():
                self._prepared(message)
            case ipc.TunnelUp():
                measured = (message.handshake_ms, message.vm_ms, message.carrier)
                self._context.feed(on.TunnelUp(n, *measured))
            case ipc.TunnelActive():  # never late: the word that all is closed comes after it
                self._context.feed(on.UserActive())
            case ipc.TunnelDown():
                self._context.feed(on.Failed(n, message.code, message.issuer))
            case ipc.Failed():
                self._context.feed(on.Failed(n, message.code))
            case ipc.TunnelClosed():
                if n == self._down_asked:
                    self._down_asked = None
                self._context.feed(on.TunnelDown(n))
            case ipc.TunnelState():
                pass

    def _prepared(self, message: ipc.TunnelPrepared) -> None:
        keys = (message.wg_public_key, message.kem_key)
        self._context.feed(on.TunnelPrepared(message.n, *keys, self._context.utc_s()))
