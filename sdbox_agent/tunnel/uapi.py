"""What is said to wireguard-go and what it answers: the cross-platform UAPI, as text.

https://www.wireguard.com/xplatform/. Knows the grammar and its traps; not sockets. Peers are put
into words by pywireguard; the answers are read strictly here, without ever copying a key that
stands in them (the buffer they came in is wiped by its owner).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from pywireguard.base.userspace.peer import UserspacePeer

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import KEY_BYTES, Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Network = IPv4Network | IPv6Network

# wireguard.com/xplatform: the configuration protocol
GET: Final = b"get=1\n\n"
REMOVE_PEERS: Final = b"set=1\nreplace_peers=true\n\n"
_HEX: Final = b"0123456789abcdef"
_KEY_CHARS: Final = 64  # 32 bytes in lower-case hexadecimal
_PSK_LINE: Final = b"\npreshared_key="
_SECRET: Final = frozenset({"private_key", "preshared_key"})
_DEVICE: Final = frozenset({"private_key", "listen_port", "fwmark"})
_PEER: Final = frozenset(
    {
        "preshared_key",
        "protocol_version",
        "endpoint",
        "last_handshake_time_sec",
        "last_handshake_time_nsec",
        "tx_bytes",
        "rx_bytes",
        "persistent_keepalive_interval",
    }
)
# ours
_NO_PSK: Final = b64encode(bytes(KEY_BYTES))
MAX_PEERS: Final = 1024
MAX_ALLOWED_IPS: Final = 64  # a peer
MAX_LINE_CHARS: Final = 128
MAX_NUMBER_DIGITS: Final = 20  # 2^64
_MAX_INT: Final = 2**64 - 1


@dataclass(frozen=True, slots=True, repr=False)
class PeerConfig:
    """A peer as it shall be."""

    public_key: bytes
    allowed_ips: tuple[Network, ...]
    psk: bytearray | None = None
    endpoint: Endpoint | None = None
    keepalive_s: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class PeerState:
    """A peer as it is. Its preshared key is left where it was."""

    public_key: bytes
    endpoint: Endpoint | None
    handshake_ns: int  # of the last one, wall clock; 0: none yet
    tx_bytes: int
    rx_bytes: int
    allowed_ips: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """An interface as it is."""

    listen_port: int
    fwmark: int
    peers: tuple[PeerState, ...]


def set_identity(private_key: bytearray, fwmark: int = 0, listen_port: int = 0) -> bytearray:
    """Private key and mark, said before any peer: a handshake sent unmarked dies at the walls.

    The result holds the key: its owner wipes it, and `private_key`, after use.
    """
    head = b"set=1\nprivate_key="
    rest = f"\nfwmark={fwmark}\nlisten_port={listen_port}\n\n".encode()
    text = bytearray(head + bytes(_KEY_CHARS) + rest)  # whole at once: growing leaves copies behind
    _write_hex(text, len(head), private_key)
    return text


def _write_hex(text: bytearray, start: int, key: bytearray) -> None:
    for at, byte in enumerate(key):
        text[start + 2 * at] = _HEX[byte >> 4]
        text[start + 2 * at + 1] = _HEX[byte & 15]


def set_peers(peers: Sequence[PeerConfig], *, replace: bool) -> bytearray:
    """Add or change peers; with `replace`, whoever is not named is gone.

    The result holds the preshared keys: its owner wipes it after use.
    """
    lines = ["set=1", *(["replace_peers=true"] if replace else []), *map(_peer_text, peers)]
    text = bytearray(("\n".join(lines) + "\n\n").encode())
    at = 0
    for psk in (peer.psk for peer in peers if peer.psk is not None):
        at = text.index(_PSK_LINE, at) + len(_PSK_LINE)
        _write_hex(text, at, psk)
    return text


def move_endpoint(public_key: bytes, endpoint: Endpoint) -> bytes:
    """Tell where a peer is that is already known; one that is not stays unknown."""
    return (
        f"set=1\npublic_key={public_key.hex()}\nupdate_only=true\nendpoint={endpoint}\n\n".encode()
    )


def remove_peer(public_key: bytes) -> bytes:
    """Remove one peer: its packets stop at once, which a changed preshared key would not do."""
    return f"set=1\npublic_key={public_key.hex()}\nremove=true\n\n".encode()


def _peer_text(peer: PeerConfig) -> str:
    """In the place of a preshared key, one of zeros: text can't be wiped."""
    text: str = UserspacePeer(
        b64encode(peer.public_key),
        preshared_key=None if peer.psk is None else _NO_PSK,
        endpoint=None if peer.endpoint is None else str(peer.endpoint),
        allowed_ips=[str(network) for network in peer.allowed_ips],
        persistent_keepalive_interval=peer.keepalive_s,
    ).serialize()
    return text.rstrip("\n")  # without allowed IPs it ends in an empty line: the request's end


def parse_set(buffer: bytearray | bytes, size: int) -> int:
    """The errno of a set: 0 or positive, from the first `size` bytes. Raises DecodeError."""
    lines = list(_lines(buffer, size))
    if len(lines) != 1 or lines[0][0] != "errno":
        raise DecodeError("not the answer to a set")
    return _errno(lines[0][1])


def parse_get(buffer: bytearray | bytes, size: int) -> Device:
    """The answer to a get, in the first `size` bytes. Raises DecodeError, for an errno too."""
    lines = list(_lines(buffer, size))
    if not lines or lines[-1][0] != "errno" or _errno(lines[-1][1]) != 0:
        raise DecodeError("the get failed or was cut short")
    starts = [at for at, (key, _) in enumerate(lines) if key == "public_key"]
    if len(starts) > MAX_PEERS:
        raise DecodeError("too many peers")
    ends = [*starts, len(lines) - 1][1:]
    device = _fields(lines[: (*starts, len(lines) - 1)[0]], _DEVICE)
    return Device(
        _number(device.get("listen_port", "0"), 0xFFFF),
        _number(device.get("fwmark", "0"), 2**32 - 1),
        tuple(_peer(lines[start:end]) for start, end in zip(starts, ends, strict=True)),
    )


def _peer(lines: list[tuple[str, str]]) -> PeerState:
    allowed = [value for key, value in lines if key == "allowed_ip"]
    if len(allowed) > MAX_ALLOWED_IPS:
        raise DecodeError("too many allowed IPs")
    public_key = lines[0][1]
    if len(public_key) != _KEY_CHARS or not set(public_key.encode()) <= set(_HEX):
        raise DecodeError("not a key")
    fields = _fields([line for line in lines[1:] if line[0] != "allowed_ip"], _PEER)
    if fields.get("protocol_version", "1") != "1":
        raise DecodeError("unknown protocol version")
    sec = _number(fields.get("last_handshake_time_sec", "0"), 2**40)
    nsec = _number(fields.get("last_handshake_time_nsec", "0"), 10**9 - 1)
    endpoint = fields.get("endpoint")
    return PeerState(
        bytes.fromhex(public_key),
        None if endpoint is None else _endpoint(endpoint),
        sec * 10**9 + nsec,
        _number(fields.get("tx_bytes", "0")),
        _number(fields.get("rx_bytes", "0")),
        tuple(_network(text) for text in allowed),
    )


def _endpoint(text: str) -> Endpoint:
    """Where the peer is: any address, also a carrier's on this machine."""
    host, _, port = text.rpartition(":")
    try:
        endpoint = Endpoint(ip_address(host.strip("[]")), _number(port, 0xFFFF))
    except ValueError:  # DecodeError is one
        raise DecodeError("not an endpoint") from None
    if str(endpoint) != text:
        raise DecodeError("endpoint is not in canonical form")
    return endpoint


def _lines(reply: bytearray | bytes, size: int) -> Iterator[tuple[str, str]]:
    """Key and value of each line; a secret's value is checked where it lies and given as ''."""
    end = size - 1  # of the last line; the empty one follows
    if not reply.endswith(b"\n\n", 0, size) or reply.find(b"\n\n", 0, size) != end - 1:
        raise DecodeError("not one whole answer")
    at = 0
    while at < end:
        stop = reply.find(b"\n", at)
        equals = reply.find(b"=", at, stop)
        if equals < 0 or stop - at > MAX_LINE_CHARS:
            raise DecodeError("not a line key=value")
        key = _text(reply[at:equals])
        if key in _SECRET:
            if stop - equals - 1 != _KEY_CHARS or any(
                reply[i] not in _HEX for i in range(equals + 1, stop)
            ):
                raise DecodeError("not a key")
            yield key, ""
        else:
            yield key, _text(reply[equals + 1 : stop])
        at = stop + 1


def _fields(lines: list[tuple[str, str]], allowed: frozenset[str]) -> dict[str, str]:
    fields = dict(lines)
    if len(fields) != len(lines) or not fields.keys() <= allowed:
        raise DecodeError("unknown or repeated key")
    return fields


def _text(raw: bytearray | bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError("not ASCII") from None


def _number(text: str, most: int = _MAX_INT) -> int:
    if not text.isdecimal() or len(text) > MAX_NUMBER_DIGITS or int(text) > most:
        raise DecodeError("not a number in range")
    return int(text)


def _errno(text: str) -> int:
    return _number(text.removeprefix("-"), 4095)  # wireguard-go says -22, the specification 22


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise DecodeError("not a network") from None
