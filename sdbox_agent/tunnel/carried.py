"""[door] The tunnel helper's end of a carriage: asks a carrier, and holds it while it lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sdbox_agent import ipc
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import carriage

if TYPE_CHECKING:
    import socket
    from pathlib import Path

CONNECT_S: Final = 1.0  # the service manager listens: it is only asked to start one


class Carried:
    """One way over TLS, for one session."""

    def __init__(self, carrier: ipc.Carrier, path: Path, uid: int) -> None:
        """`path` and `uid`: where carriers are asked, and as whom they answer. DecodeError."""
        self.way = carriage.parse(carrier)
        self.under_way = False  # WireGuard's packets have been accepted there
        self._carrier = carrier
        self._path, self._uid = path, uid
        self._channel: ipc.Channel[carriage.FromCarrier] | None = None

    def ask(self, number: int, port: int) -> socket.socket:
        """Have what WireGuard sends from `port` carried; readable when there is an answer.

        Raises Fault (carrier-worker-died).
        """
        until_s = time.monotonic() + carriage.DIAL_S
        asked = carriage.Carry(n=number, carrier=self._carrier, port=port, until_s=until_s)
        try:
            self._channel = ipc.connect(self._path, carriage.FromCarrier, self._uid, CONNECT_S)
            self._channel.send(asked)
            self._channel.sock.settimeout(0)
        except OSError as error:  # Closed is one
            raise Fault("carrier-worker-died") from error
        return self._channel.sock

    def answer(self) -> int:
        """The carrier's port for WireGuard's packets.

        Raises what kept it from carrying (see carriage.refusal); Fault: carrier-worker-died if it
        died first, and carrier-lost for whatever comes once it has carried: mostly its end.
        """
        assert self._channel is not None
        if self.under_way:
            raise Fault("carrier-lost")
        try:
            message = self._channel.receive()
        except (OSError, DecodeError) as error:
            raise Fault("carrier-worker-died") from error
        if isinstance(message, carriage.NotCarried):
            raise carriage.refusal(message)
        self.under_way = True
        return message.port

    @property
    def silent(self) -> bool:
        """Has a carrier been asked, and said nothing yet?"""
        return self._channel is not None and not self.under_way

    @property
    def sock(self) -> socket.socket | None:
        """The channel's, once a carrier has been asked."""
        return None if self._channel is None else self._channel.sock

    def close(self) -> None:
        """Let go: the connection to the gateway ends at once."""
        if self._channel is not None:
            self._channel.close()
