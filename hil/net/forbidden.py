"""A paced flood of what must not leave a box: `python -m hil.net.forbidden GAP_US`.

Run as root in the box's namespace, until SIGTERM. Prints BEGUN, and at the end how often it tried.
Datagrams to the granted endpoints without the mark that the walls ask for and to others
with it, broadcast and multicast, connections, echo requests, and frames written raw to the device.
"""

from __future__ import annotations

import itertools
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from hil.net import forge
from hil.net.peer import PORT
from hil.net.topology import BOX4, CENTRE4, CENTRE6, UPLINK
from sdbox_agent.tunnel.config import LIVE_MARK

if TYPE_CHECKING:
    from collections.abc import Callable

    Attempt = Callable[[], object]
    Place = tuple[str, int]

_PORTS: Final = (53, 67, 123, 443, 5353, 51821)
_GATEWAYS: Final = ((CENTRE4, PORT), (CENTRE6, PORT))
_NOBODYS: Final = bytes(6)  # hardware address
BEGUN: Final = "begun"


def attempts(sockets: ExitStack) -> list[Attempt]:
    """One of each kind, over sockets that close with `sockets`."""
    return [*_datagrams(sockets), *_connections(), *_echoes(sockets), *_raw(sockets)]


def _datagrams(sockets: ExitStack) -> list[Attempt]:
    made: list[Attempt] = []
    everybody = ("192.0.2.255", f"ff02::1%{UPLINK}")
    families = (socket.AF_INET, socket.AF_INET6)
    for family, gateway, many in zip(families, _GATEWAYS, everybody, strict=True):
        plain, marked = (sockets.enter_context(_udp(family)) for _ in range(2))
        marked.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, LIVE_MARK)
        targets: list[tuple[socket.socket, Place]] = [(plain, gateway), (plain, (many, 9))]
        targets += [(marked, (gateway[0], port)) for port in _PORTS]
        made += [partial(sock.sendto, bytes(148), to) for sock, to in targets]
    return made


def _udp(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    if family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return sock


def _connections() -> list[Attempt]:
    def connect(family: int, place: Place) -> None:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            sock.connect(place)

    return [
        partial(connect, socket.AF_INET, (CENTRE4, 80)),
        partial(connect, socket.AF_INET6, (CENTRE6, 22)),
    ]


def _echoes(sockets: ExitStack) -> list[Attempt]:
    four, six = (
        sockets.enter_context(
            socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        )
        for family, protocol in (
            (socket.AF_INET, socket.IPPROTO_ICMP),
            (socket.AF_INET6, socket.IPPROTO_ICMPV6),
        )
    )
    return [
        partial(four.sendto, forge.icmp(8, 0, bytes(4)), (CENTRE4, 0)),
        partial(six.sendto, bytes((128, 0)) + bytes(6), (CENTRE6, 0)),
    ]


def _raw(sockets: ExitStack) -> list[Attempt]:
    datagram = forge.udp((BOX4, 9), (CENTRE4, PORT), bytes(148))
    bodies = [
        (forge.IPV4, forge.ipv4(BOX4, CENTRE4, forge.UDP, datagram)),
        (forge.IPV6, forge.ipv6("fe80::9", "ff02::2", forge.ICMP6, bytes(8))),
        (0x88B5, bytes(46)),  # IEEE 802: for experiments
        (0x8100, bytes(46)),  # IEEE 802.1Q
    ]
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    sock = sockets.enter_context(socket.socket(socket.AF_PACKET, kind))
    sock.bind((UPLINK, 0))
    return [
        partial(sock.send, forge.ethernet(forge.ALL4, _NOBODYS, kind, body))
        for kind, body in bodies
    ]


def flood(kinds: list[Attempt], gap_us: float) -> int:
    """One attempt every `gap_us`, on the beat, until SIGTERM; how many."""
    going = True

    def end(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, end)
    print(BEGUN, flush=True)
    tried = 0
    next_s = time.monotonic()
    for attempt in itertools.cycle(kinds):
        if not going:
            break
        tried += 1
        with suppress(OSError):  # the walls say no at once
            attempt()
        next_s += gap_us / 1e6
        time.sleep(max(next_s - time.monotonic(), 0))
    return tried


if __name__ == "__main__":
    with ExitStack() as opened:
        print(flood(attempts(opened), float(sys.argv[1])))
