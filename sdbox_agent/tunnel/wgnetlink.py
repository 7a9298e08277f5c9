"""What is said to the kernel's WireGuard and what it answers: generic netlink, as bytes.

Its words are those of <linux/wireguard.h>, which tells what each does. Knows no sockets.
A request that holds keys is one bytearray, written once and wiped by its owner; an answer is read
where it lies, and of the keys in it not even a copy is made.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.config import KEY_BYTES, Endpoint
from sdbox_agent.tunnel.netlink import (
    NLM_F_DUMP,
    Request,
    attribute,
    attributes,
    each_attribute,
    frame,
    nested,
    text,
)
from sdbox_agent.tunnel.uapi import MAX_ALLOWED_IPS, MAX_PEERS, Device, PeerState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdbox_agent.tunnel.netlink import Reply
    from sdbox_agent.tunnel.uapi import Network, PeerConfig

# <linux/genetlink.h>: command and version, and two bytes of padding
_GENL_BYTES: Final = 4
_CTRL: Final = 0x10
_CTRL_GETFAMILY: Final = bytes((3, 1, 0, 0))
_CTRL_FAMILY_ID, _CTRL_FAMILY_NAME = 1, 2
# <linux/wireguard.h>
FAMILY: Final = "wireguard"  # also the kind of its links
_GET: Final = bytes((0, 1, 0, 0))
_SET: Final = bytes((1, 1, 0, 0))
_IFNAME, _PRIVATE_KEY, _FLAGS, _LISTEN_PORT, _FWMARK, _PEERS = 2, 3, 5, 6, 7, 8
_REPLACE_PEERS: Final = 1
_PEER_PUBLIC_KEY, _PEER_PSK, _PEER_FLAGS, _PEER_ENDPOINT, _PEER_KEEPALIVE = 1, 2, 3, 4, 5
_PEER_HANDSHAKE, _PEER_RX_BYTES, _PEER_TX_BYTES, _PEER_ALLOWED_IPS = 6, 7, 8, 9
_UPDATE_ONLY: Final = 4
_ALLOWED_FAMILY, _ALLOWED_ADDRESS, _ALLOWED_PREFIX = 1, 2, 3
_ONE: Final = 0  # the type of each one in a list
# <linux/in.h>, <linux/in6.h>
_AF: Final = {4: 2, 6: 10}
_SOCKADDR: Final = {4: struct.Struct("!2sH4s8x"), 6: struct.Struct("!2sH4x16s4x")}
_TIMESPEC: Final = struct.Struct("=qq")
_HEADER_BYTES: Final = 4  # an attribute's
# ours
_MESSAGE_BYTES: Final = 16 + _GENL_BYTES  # before the first attribute


def family() -> Request:
    """Ask for WireGuard's number among the kernel's families; it loads its module for that."""
    return Request(_CTRL, 0, _CTRL_GETFAMILY + text(_CTRL_FAMILY_NAME, FAMILY))


def parse_family(reply: Reply) -> int:
    """The answer to `family`. Raises DecodeError."""
    return _number(attributes(reply.body[_GENL_BYTES:]).get(_CTRL_FAMILY_ID, b""), 2)


def get(number: int, name: str) -> Request:
    """Ask for all about one interface. The answers hold its keys."""
    return Request(number, NLM_F_DUMP, _GET + text(_IFNAME, name))


def set_identity(number: int, name: str, private_key: bytearray, fwmark: int) -> bytearray:
    """Private key and mark. The result holds the key."""
    named = text(_IFNAME, name)
    empty = attribute(_PRIVATE_KEY, bytes(KEY_BYTES))
    message = _message(number, named, empty, attribute(_FWMARK, struct.pack("=I", fwmark)))
    _write(message, _MESSAGE_BYTES + len(named) + _HEADER_BYTES, private_key)
    return message


def set_peers(number: int, name: str, peers: Sequence[PeerConfig], *, replace: bool) -> bytearray:
    """Add or change peers; with `replace`, whoever is not named is gone. Holds their keys."""
    flags = attribute(_FLAGS, struct.pack("=I", _REPLACE_PEERS if replace else 0))
    before = text(_IFNAME, name) + flags
    worded = [nested(_ONE, _peer(peer)) for peer in peers]
    message = _message(number, before, nested(_PEERS, *worded))
    at = _MESSAGE_BYTES + len(before) + _HEADER_BYTES
    for peer, words in zip(peers, worded, strict=True):
        if peer.psk is not None:
            in_peer = _HEADER_BYTES + len(attribute(_PEER_PUBLIC_KEY, peer.public_key))
            _write(message, at + in_peer + _HEADER_BYTES, peer.psk)
        at += len(words)
    return message


def move_endpoint(number: int, name: str, public_key: bytes, endpoint: Endpoint) -> bytearray:
    """Tell where a peer is that is already known; one that is not stays unknown."""
    peer = (
        attribute(_PEER_PUBLIC_KEY, public_key)
        + attribute(_PEER_FLAGS, struct.pack("=I", _UPDATE_ONLY))
        + attribute(_PEER_ENDPOINT, _sockaddr(endpoint))
    )
    return _message(number, text(_IFNAME, name), nested(_PEERS, nested(_ONE, peer)))


def _message(number: int, *parts: bytes) -> bytearray:
    return bytearray(frame(Request(number, 0, _SET + b"".join(parts)), 0, 0))


def _write(message: bytearray, at: int, key: bytearray) -> None:
    message[at : at + KEY_BYTES] = key


def _peer(peer: PeerConfig) -> bytes:
    """In the place of a preshared key, which stands second, one of zeros."""
    parts = [attribute(_PEER_PUBLIC_KEY, peer.public_key)]
    if peer.psk is not None:
        parts.append(attribute(_PEER_PSK, bytes(KEY_BYTES)))
    if peer.endpoint is not None:
        parts.append(attribute(_PEER_ENDPOINT, _sockaddr(peer.endpoint)))
    if peer.keepalive_s is not None:
        parts.append(attribute(_PEER_KEEPALIVE, struct.pack("=H", peer.keepalive_s)))
    parts.append(nested(_PEER_ALLOWED_IPS, *map(_allowed, peer.allowed_ips)))
    return b"".join(parts)


def _allowed(network: Network) -> bytes:
    return nested(
        _ONE,
        attribute(_ALLOWED_FAMILY, struct.pack("=H", _AF[network.version])),
        attribute(_ALLOWED_ADDRESS, network.network_address.packed),
        attribute(_ALLOWED_PREFIX, bytes([network.prefixlen])),
    )


def _sockaddr(endpoint: Endpoint) -> bytes:
    version = endpoint.address.version
    family = struct.pack("=H", _AF[version])
    return _SOCKADDR[version].pack(family, endpoint.port, endpoint.address.packed)


# -- answers ---------------------------------------------------------------------------------------


def parse_part(body: memoryview) -> Device:
    """One message of the answer to `get`: all of the interface, or as much as fitted in it.

    Raises DecodeError.
    """
    told = attributes(body[_GENL_BYTES:])
    listed = each_attribute(told.get(_PEERS, memoryview(b"")))
    port = _number(told.get(_LISTEN_PORT, bytes(2)), 2)
    mark = _number(told.get(_FWMARK, bytes(4)), 4)
    return Device(port, mark, tuple(_read_peer(each) for _, each in listed))


def join(parts: Sequence[Device]) -> Device:
    """The parts as one. A peer whose allowed IPs did not fit goes on in the next part.

    Raises DecodeError, also where there is none.
    """
    if not parts:
        raise DecodeError("no interface in the answer")
    peers: list[PeerState] = []
    for peer in (each for part in parts for each in part.peers):
        if peers and peers[-1].public_key == peer.public_key:
            allowed = peers[-1].allowed_ips + peer.allowed_ips
            peers[-1] = dataclasses.replace(peers[-1], allowed_ips=allowed)
        else:
            peers.append(peer)
    if len(peers) > MAX_PEERS or any(len(each.allowed_ips) > MAX_ALLOWED_IPS for each in peers):
        raise DecodeError("too many peers or allowed IPs")
    return dataclasses.replace(parts[0], peers=tuple(peers))


def _read_peer(data: memoryview) -> PeerState:
    told = attributes(data)
    public_key = bytes(told.get(_PEER_PUBLIC_KEY, b""))
    if len(public_key) != KEY_BYTES:
        raise DecodeError("not a key")
    endpoint = told.get(_PEER_ENDPOINT)
    allowed = each_attribute(told.get(_PEER_ALLOWED_IPS, memoryview(b"")))
    return PeerState(
        public_key,
        None if endpoint is None else _endpoint(bytes(endpoint)),
        _time_ns(told.get(_PEER_HANDSHAKE, memoryview(bytes(_TIMESPEC.size)))),
        _number(told.get(_PEER_TX_BYTES, bytes(8)), 8),
        _number(told.get(_PEER_RX_BYTES, bytes(8)), 8),
        tuple(_network(each) for _, each in allowed),
    )


def _number(raw: bytes | memoryview, size: int) -> int:
    if len(raw) != size:
        raise DecodeError("not a number of that size")
    return int.from_bytes(raw, sys.byteorder)


def _time_ns(raw: memoryview) -> int:
    if len(raw) != _TIMESPEC.size:
        raise DecodeError("not a time")
    seconds, nanoseconds = _TIMESPEC.unpack(raw)
    if not (0 <= seconds <= 2**40 and 0 <= nanoseconds < 10**9):
        raise DecodeError("not a time")
    return int(seconds * 10**9 + nanoseconds)


def _endpoint(raw: bytes) -> Endpoint:
    for version, layout in _SOCKADDR.items():
        if len(raw) == layout.size and raw[:2] == struct.pack("=H", _AF[version]):
            _, port, packed = layout.unpack(raw)
            return Endpoint(_address(packed), port)
    raise DecodeError("not an endpoint")


def _network(data: memoryview) -> Network:
    told = attributes(data)
    prefix = _number(told.get(_ALLOWED_PREFIX, b""), 1)
    address = _address(bytes(told.get(_ALLOWED_ADDRESS, b"")))
    try:
        return ip_network((address, prefix))
    except ValueError:
        raise DecodeError("not a network") from None


def _address(packed: bytes) -> IPv4Address | IPv6Address:
    try:
        return ip_address(packed)
    except ValueError:
        raise DecodeError("not an address") from None
