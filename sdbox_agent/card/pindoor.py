"""[door] One connection of the prompt process: PINs come in, and never leave a bytearray.

Every frame's sender is named by the kernel. What a frame says is pinframe.py's; whether it may be
said now is the service's.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from sdbox_agent import ipc
from sdbox_agent.card import pin, pinframe
from sdbox_agent.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Given:
    """A PIN for session `n`; whoever takes it overwrites `field`."""

    n: int
    last: bool
    field: bytearray


class PinChannel:
    """The card worker's end. Closes nothing by itself."""

    def __init__(self, sock: socket.socket, peer_uid: int) -> None:
        ipc.name_senders(sock)
        self.sock = sock
        self._peer_uid = peer_uid

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self.sock.fileno()

    def receive(self) -> Given:
        """One PIN. Raises ipc.Closed, ipc.ForeignPeer, DecodeError, OSError."""
        request = bytearray(pinframe.REQUEST_BYTES + 1)
        try:
            size, ancillary, _, _ = self.sock.recvmsg_into([request], socket.CMSG_SPACE(64))
            uid, descriptors = ipc.read_ancillary(ancillary)
            for descriptor in descriptors:
                os.close(descriptor)
            if not size:
                raise ipc.Closed
            if uid != self._peer_uid:
                raise ipc.ForeignPeer("frame from a foreign uid")
            if size != pinframe.REQUEST_BYTES:
                raise DecodeError("not a request of the prompt")
            n, last = pinframe.read_head(memoryview(request)[:size])
            field = bytearray(pin.FIELD_BYTES)
            field[:] = memoryview(request)[pinframe.FIELD]
            return Given(n, last, field)
        finally:
            pin.wipe(request)

    def send(self, status: pinframe.Status, left: int | None) -> None:
        """Answer. Raises OSError if nobody is there."""
        self.sock.send(pinframe.answer(status, left))

    def close(self) -> None:
        """Let go."""
        self.sock.close()
