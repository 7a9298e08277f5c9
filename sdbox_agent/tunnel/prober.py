"""[door] Echo requests to one VM and its answers, over sockets opened in the session namespace.

An answer counts if it comes from that VM and carries this tunnel's cookie. Does not know when a
probe is due, or what an answer means.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import echo

if TYPE_CHECKING:
    import socket

    from sdbox_agent.tunnel.config import Address

_MOST_BYTES: Final = 2048  # of an answer; a longer one is cut, and nobody's


class Prober:
    """For one tunnel."""

    def __init__(self, sockets: dict[int, socket.socket], vm: Address) -> None:
        """`sockets`: an echo socket for each IP version, not blocking."""
        self._vm = vm
        self._cookie = os.urandom(echo.COOKIE_BYTES)
        self.sock = sockets[vm.version]
        self.sent_bytes = 0  # as packets

    def send(self, number: int, size_bytes: int | None) -> None:
        """Send one probe. One that can't be sent is one that is not answered."""
        probe = echo.request(self._vm.version, number, self._cookie, size_bytes)
        try:
            self.sock.sendto(probe, (str(self._vm), 0))
        except OSError:
            return
        self.sent_bytes += echo.packet_bytes(self._vm.version, probe)

    def receive(self) -> echo.Reply | None:
        """The answer that is there; None if it is nobody's."""
        try:
            data, source = self.sock.recvfrom(_MOST_BYTES)
            reply = echo.parse_reply(self._vm.version, data, self._cookie)
        except (OSError, DecodeError):
            return None
        return reply if source[0] == str(self._vm) else None
