"""What the core says to the tunnel helper, from the frame's bytes to typed addresses."""

import contextlib
import os
import socket

import msgspec

from sdbox_agent import ipc
from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import config

_ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
_channel: ipc.Channel[ipc.ToTunnel] = ipc.Channel(_ours, ipc.ToTunnel, os.getuid())
SEEDS: list[bytes] = [
    msgspec.json.encode(message)
    for message in (
        ipc.PrepareTunnel(n=1),
        ipc.OpenTunnel(
            n=1,
            peer=b"p" * 32,
            endpoint="[2001:db8::1]:51820",
            psk=b"k" * 32,
            addresses=("10.77.0.2/32", "fd77::2/128"),
            vm="10.77.0.1",
            lease_s=60,
        ),
        ipc.ExtendLease(n=1, lease_s=60),
    )
]


def target(data: bytes) -> None:
    """A message, and a tunnel if it asks for one, or DecodeError."""
    _theirs.send(data[: ipc.MAX_FRAME_BYTES] or b"{}")
    with contextlib.suppress(DecodeError):
        message = _channel.receive()
        if isinstance(message, ipc.OpenTunnel):
            config.parse(
                peer=message.peer,
                endpoint=message.endpoint,
                psk=message.psk,
                addresses=message.addresses,
                vm=message.vm,
                lease_s=message.lease_s,
            )
