"""What the core says to the tunnel helper, from the frame's bytes to typed addresses."""

import contextlib
import os
import socket
from ipaddress import ip_interface

import msgspec

from sdbox_agent import ipc
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES
from sdbox_agent.tunnel import carriage, config

PARSERS = (config, carriage.parse, ipc.Channel.receive, ipc.Channel._decode)
_ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
_channel: ipc.Channel[ipc.ToTunnel] = ipc.Channel(_ours, ipc.ToTunnel, os.getuid())
_stranger: ipc.Channel[ipc.ToTunnel] = ipc.Channel(_ours, ipc.ToTunnel, os.getuid() + 1)
OPEN = {
    "peer": b"p" * 32,
    "endpoint": "[2001:db8::1]:51820",
    "psk_salt": b"s" * 32,
    "kem_ciphertext": b"c" * KEM_CIPHERTEXT_BYTES,
    "receipt_sha256": b"r" * 32,
    "addresses": ("10.77.0.2/32", "fd77::2/128"),
    "vm": "10.77.0.1",
    "lease_s": 60,
}
ABSURD: list[dict[str, object]] = [
    {"endpoint": "vpn.test:1"},
    {"endpoint": "192.0.2.1:51820"},
    {"endpoint": "192.0.2.1:65536"},
    {"endpoint": "[2001:DB8::1]:1"},
    {"endpoint": "[2001:db8:0::1]:1"},
    {"endpoint": "[::ffff:192.0.2.1]:1"},
    {"addresses": ()},
    {"addresses": ("10.77.0.2/32", "10.77.0.3/32")},
    {"addresses": ("10.77.0.2/24",)},
    {"addresses": ("fd77::2/128",)},
    {"addresses": ("10.77.0.1/32",)},
    {"vm": "nobody"},
    {"vm": "127.0.0.1"},
    {"vm": "224.0.0.1"},
    {"vm": "0.0.0.5"},
    {"vm": "fe80::1%eth0"},
    {"vm": "fec0::1"},
    {"vm": "2002:a4d:1::1"},
    {"vm": "192.0.2.77"},
    {"endpoint": "192.0.2.2:51820"},
    {"endpoint": "[192.0.2.1]:1"},
    {"peer": bytes(32)},
    {"kem_ciphertext": b"c"},
]
CARRIERS: list[dict[str, object]] = [
    {"carrier": ipc.Carrier(endpoint=endpoint, pin=b"p" * 32, token=b"t" * 32, proxy=proxy)}
    for endpoint, proxy in (
        ("192.0.2.3:443", None),
        ("[2001:db8::3]:443", "192.0.2.9:3128"),
        ("gateway.test:443", None),
        ("192.0.2.3:443", "127.0.0.1:3128"),
    )
]
SEEDS: list[bytes] = [
    *map(
        msgspec.json.encode,
        (
            ipc.WarmTunnel(n=1),
            ipc.PrepareTunnel(n=1),
            *(ipc.OpenTunnel(n=1, **{**OPEN, **change}) for change in ({}, *ABSURD, *CARRIERS)),
            ipc.ExtendLease(n=1, lease_s=60),
        ),
    ),
    b"",
    b"{",
    b'{"type":"\xff"}',
    bytes(ipc.MAX_FRAME_BYTES + 1),
]
AROUND = [ip_interface("127.0.0.1/8"), ip_interface("192.0.2.2/24")]
TOKENS = [b'"%s":' % name.encode() for name in OPEN]


def target(data: bytes) -> None:
    """A message, and a tunnel if it asks for one, or DecodeError; from a stranger nothing."""
    frame = data[: ipc.MAX_FRAME_BYTES + 1]
    _theirs.send(frame)
    with contextlib.suppress(ipc.ForeignPeer, ipc.Closed):
        _stranger.receive()
        raise AssertionError("a stranger was heard")
    socket.send_fds(_theirs, [frame], [_theirs.fileno()])  # none is asked for: it is closed
    with contextlib.suppress(DecodeError, ipc.Closed):
        message = _channel.receive()
        if isinstance(message, ipc.OpenTunnel):
            tunnel = config.parse(
                peer=message.peer,
                endpoint=message.endpoint,
                addresses=message.addresses,
                vm=message.vm,
                lease_s=message.lease_s,
            )
            with contextlib.suppress(Fault):
                config.check_place(tunnel, AROUND)
            assert len(message.kem_ciphertext) == KEM_CIPHERTEXT_BYTES
            assert str(tunnel.endpoint) == message.endpoint
            if message.carrier is not None:
                way = carriage.parse(message.carrier)
                assert str(way.gateway) == message.carrier.endpoint
                assert str(way.first) == message.carrier.proxy or way.proxy is None
