"""What may leave a box, and which of it a frame is. Everything else is a leak.

Shares no rule with the walls (sdbox_agent.tunnel.killswitch): one is held against the other. Knows
no time: whether an endpoint was granted when a frame passed is the oracle's question.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final

from hil.net.packet import Arp, Datagram, Icmp6, Report, Segment, parse
from hil.net.tls import Records
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from hil.net.packet import Address
    from sdbox_agent.tunnel.config import Endpoint

# wireguard.com/papers/wireguard.pdf 5.4: one byte of type, three of zeros; sizes of the first three
_WIREGUARD_SIZES: Final = {1: 148, 2: 92, 3: 64}
_TRANSPORT: Final = 4
_TRANSPORT_BYTES: Final = 32  # header and authentication tag: a keepalive
_PADDED_TO_BYTES: Final = 16  # 5.4.6, but never beyond the interface's MTU …
_MTU_LEAST_BYTES: Final = 496  # … which is no less than this where a path takes 576
# RFC 4861 4, 6.1, 7.1
_ROUTER_SOLICITATION: Final = 133
_SOLICITATION, _ADVERTISEMENT = 135, 136
_NEIGHBOUR_BYTES: Final = 4 + 16  # reserved or flags, and the target; options follow
# Kind, and length in eights of bytes on Ethernet: link-layer addresses; RFC 7527 4.1: a nonce.
_OPTIONS: Final = frozenset({(1, 1), (2, 1), (14, 1)})
_OPTION_BYTES: Final = 8
_FROM_THIS_LINK: Final = 255
_LINK_LOCAL: Final = IPv6Network("fe80::/10")
# RFC 2131 2, 4.1; RFC 9915 (DHCPv6) 7
_DHCP_PORTS: Final = (68, 67)
_DHCP_COOKIE: Final = bytes((99, 130, 83, 99))
_DHCP_OPTIONS_AT: Final = 236
_DHCP6_PORTS: Final = (546, 547)
_DHCP6_SERVERS: Final = IPv6Address("ff02::1:2")


UNREAD: Final = "data behind a gap that was never filled"


@enum.unique
class Kind(enum.Enum):
    """What a frame that may leave is."""

    WIREGUARD = "WireGuard to a gateway"
    CENTRE = "TLS to the centre"
    CARRIER = "TLS to a carrier"
    NEIGHBOUR = "ARP or neighbour discovery"
    DHCP = "DHCP"
    SETTING_UP = "what a kernel says of itself as its link comes up"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Who a box may speak to, and as whom."""

    own: frozenset[Address]
    centre: frozenset[Endpoint]
    gateways: frozenset[Endpoint]  # WireGuard's
    carriers: frozenset[Endpoint] = frozenset()
    proxies: frozenset[Endpoint] = frozenset()  # to be asked for a carrier, and nobody else
    dhcp: bool = False


class Classifier:
    """Frames in the order they passed: TLS is checked along each connection."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._streams: dict[tuple[Address, int, Address, int], Records] = {}

    def kind(self, frame: bytes) -> Kind:
        """What it is. Raises DecodeError with the reason if it is a leak."""
        packet = parse(frame)
        match packet:
            case Arp():
                self._check_own(packet.sender)
                return Kind.NEIGHBOUR
            case Icmp6():
                return self._icmp6(packet)
            case Report():
                return Kind.SETTING_UP
            case Datagram():
                return self._datagram(packet)
            case Segment():
                return self._segment(packet)

    @property
    def unread(self) -> bool:
        """Is there data behind a gap, of which nobody can say what it is?"""
        return any(stream.waits for stream in self._streams.values())

    def _check_own(self, source: Address) -> None:
        if source not in self._allowed.own and not source.is_unspecified:
            raise DecodeError("sent as somebody else")

    def _icmp6(self, packet: Icmp6) -> Kind:
        if packet.source not in _LINK_LOCAL:
            self._check_own(packet.source)
        kinds = {_ROUTER_SOLICITATION, _SOLICITATION, _ADVERTISEMENT}
        if packet.kind not in kinds or packet.code != 0 or packet.hops != _FROM_THIS_LINK:
            raise DecodeError("ICMPv6 beyond neighbour discovery")
        fixed_bytes = 4 if packet.kind == _ROUTER_SOLICITATION else _NEIGHBOUR_BYTES
        _check_options(packet.payload, fixed_bytes)
        return Kind.SETTING_UP if packet.kind == _ROUTER_SOLICITATION else Kind.NEIGHBOUR

    def _datagram(self, packet: Datagram) -> Kind:
        ports = (packet.source_port, packet.port)
        if self._allowed.dhcp and ports in {_DHCP_PORTS, _DHCP6_PORTS}:
            return self._dhcp(packet)
        if not _is_one_of(packet, self._allowed.gateways):
            raise DecodeError("UDP to nobody the box may speak to")
        self._check_own(packet.source)
        _check_wireguard(packet.payload)
        return Kind.WIREGUARD

    def _dhcp(self, packet: Datagram) -> Kind:
        if packet.source not in _LINK_LOCAL:
            self._check_own(packet.source)
        if isinstance(packet.destination, IPv4Address):
            cookie = packet.payload[_DHCP_OPTIONS_AT:][:4]
            fine = packet.payload[:3] == b"\x01\x01\x06" and cookie == _DHCP_COOKIE
        else:
            to_servers = packet.destination == _DHCP6_SERVERS or packet.destination in _LINK_LOCAL
            fine = to_servers and len(packet.payload) >= 4 and 1 <= packet.payload[0] <= 13
        if not fine:
            raise DecodeError("no DHCP on DHCP's ports")
        return Kind.DHCP

    def _segment(self, packet: Segment) -> Kind:
        for kind, parties, before in (
            (Kind.CENTRE, self._allowed.centre, frozenset()),
            (Kind.CARRIER, self._allowed.carriers, frozenset()),
            (Kind.CARRIER, self._allowed.proxies, frozenset(map(_asked, self._allowed.carriers))),
        ):
            if _is_one_of(packet, parties):
                self._check_own(packet.source)
                self._check_tls(packet, before)
                return kind
        raise DecodeError("TCP to nobody the box may speak to")

    def _check_tls(self, packet: Segment, before: frozenset[bytes]) -> None:
        """A connection older than the watch is taken up at its first segment with data."""
        flow = (packet.source, packet.source_port, packet.destination, packet.port)
        if packet.begins:
            earlier = self._streams.get(flow)
            self._streams[flow] = Records(packet.sequence, before)
            if earlier is not None and earlier.waits:
                raise DecodeError(UNREAD)
        if packet.payload:
            stream = self._streams.setdefault(flow, Records(packet.sequence, before))
            stream.add(packet.sequence, packet.payload)


def _asked(carrier: Endpoint) -> bytes:
    """RFC 9110 9.3.6, RFC 9112 3.2.3: what a proxy hears before TLS."""
    return f"CONNECT {carrier} HTTP/1.1\r\nHost: {carrier}\r\n\r\n".encode()


def _is_one_of(packet: Datagram | Segment, parties: frozenset[Endpoint]) -> bool:
    return any((each.address, each.port) == (packet.destination, packet.port) for each in parties)


def _check_options(payload: bytes, fixed_bytes: int) -> None:
    """RFC 4861 4.6: those that a kernel sends, each once, and nothing after them."""
    options = payload[fixed_bytes:]
    if len(payload) < fixed_bytes or len(options) % _OPTION_BYTES:
        raise DecodeError("neighbour discovery of a wrong length")
    heads = [(options[at], options[at + 1]) for at in range(0, len(options), _OPTION_BYTES)]
    if not _OPTIONS.issuperset(heads) or len(set(heads)) != len(heads):
        raise DecodeError("neighbour discovery with more than a kernel says")


def _check_wireguard(message: bytes) -> None:
    kind = message[0] if message[:1] and not any(message[1:4]) else 0
    if kind == _TRANSPORT:
        inner_bytes = len(message) - _TRANSPORT_BYTES
        fine = inner_bytes >= 0 and (
            inner_bytes % _PADDED_TO_BYTES == 0 or inner_bytes >= _MTU_LEAST_BYTES
        )
    else:
        fine = len(message) == _WIREGUARD_SIZES.get(kind, -1)
    if not fine:
        raise DecodeError("no WireGuard to a WireGuard endpoint")
