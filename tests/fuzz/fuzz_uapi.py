"""wireguard-go's answers."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import uapi

PARSERS = (
    uapi.parse_set,
    uapi.parse_get,
    uapi._peer,
    uapi._lines,
    uapi._fields,
    uapi._text,
    uapi._number,
    uapi._errno,
    uapi._network,
)
DEVICE = b"private_key=" + b"ab" * 32 + b"\nlisten_port=1\nfwmark=2\n"
PEER = (
    b"public_key="
    + b"cd" * 32
    + b"\npreshared_key="
    + b"ef" * 32
    + b"\nprotocol_version=1\nendpoint=[2001:db8::1]:9\n"
    b"last_handshake_time_sec=1\nlast_handshake_time_nsec=2\ntx_bytes=3\nrx_bytes=4\n"
    b"persistent_keepalive_interval=25\nallowed_ip=0.0.0.0/0\n"
)
END = b"errno=0\n\n"
GOOD = DEVICE + PEER + END
SEEDS: list[bytes] = [
    END,
    b"errno=-22\n\n",
    b"errno=x\n\n",
    GOOD,
    DEVICE + END,
    DEVICE + PEER * 2 + END,
    DEVICE + PEER,
    DEVICE + PEER + b"\n" + END,
    DEVICE + b"public_key=\n" * (uapi.MAX_PEERS + 1) + END,
    DEVICE + PEER + b"allowed_ip=::/0\n" * (uapi.MAX_ALLOWED_IPS + 1) + END,
    GOOD.replace(b"cd", b"CD"),
    GOOD.replace(b"abab", b"ab"),
    GOOD.replace(b"version=1", b"version=2"),
    GOOD.replace(b"0.0.0.0/0", b"0.0.0.0/99"),
    GOOD.replace(b"tx_bytes=3", b"tx_bytes"),
    GOOD.replace(b"tx_bytes=3", b"rx_bytes=3"),
    GOOD.replace(b"tx_bytes=3", b"tx_bytes=-3"),
    GOOD.replace(b"tx_bytes", b"tx\xff"),
    GOOD.replace(b"fwmark=2", b"fwmark=" + b"2" * uapi.MAX_LINE_CHARS),
]
TOKENS = [line.partition(b"=")[0] + b"=" for line in GOOD.splitlines()]


def target(data: bytes) -> None:
    """A device, an errno, or DecodeError."""
    for parse in (uapi.parse_get, uapi.parse_set):
        with contextlib.suppress(DecodeError):
            parse(data, len(data))
