"""wireguard-go's answers."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import uapi

SEEDS: list[bytes] = [
    b"errno=0\n\n",
    b"private_key="
    + b"ab" * 32
    + b"\nlisten_port=1\nfwmark=2\npublic_key="
    + b"cd" * 32
    + b"\npreshared_key="
    + b"ef" * 32
    + b"\nprotocol_version=1\nendpoint=[2001:db8::1]:9\n"
    b"last_handshake_time_sec=1\nlast_handshake_time_nsec=2\ntx_bytes=3\nrx_bytes=4\n"
    b"persistent_keepalive_interval=25\nallowed_ip=0.0.0.0/0\nerrno=0\n\n",
]


def target(data: bytes) -> None:
    """A device, an errno, or DecodeError."""
    for parse in (uapi.parse_get, uapi.parse_set):
        with contextlib.suppress(DecodeError):
            parse(data, len(data))
