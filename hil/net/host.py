"""[door] Whoever runs the network between a box and its centre, and means no good.

Every frame passes through its hands: it may lose, delay, reorder and repeat what passes
(`treating`), and say what it likes to the box (`say`, `shouting`). A relay of ours, for tc's netem
is not in every kernel. What it sends is forged by others (forge, attack).
"""

from __future__ import annotations

import contextlib
import enum
import heapq
import itertools
import random
import select
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.net.packet import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hil.net.namespace import Namespace

    # A frame passes once for each number, so many seconds late; never if there is none.
    Fate = Callable[[bytes, "Way"], Sequence[float]]

TO_BOX: Final = "tobox"  # the host's two devices
TO_CENTRE: Final = "tocentre"
_ETH_P_ALL: Final = 3
_PACKET_OUTGOING: Final = 4  # linux/if_packet.h
_LOOK_S: Final = 0.1
_SHOUT_S: Final = 0.02  # between one time and the next


@enum.unique
class Way(enum.Enum):
    """Which way a frame goes."""

    FROM_BOX = TO_CENTRE
    TO_BOX = TO_BOX


def passes(_frame: bytes, _way: Way) -> Sequence[float]:
    """At once, once."""
    return (0.0,)


def shaky(seed: int, lost: float, twice: float, late_s: float) -> Fate:
    """Some are lost, some come twice, each is late by up to `late_s`: they overtake each other."""
    rng = random.Random(seed)

    def fate(_frame: bytes, _way: Way) -> Sequence[float]:
        copies = 0 if rng.random() < lost else 2 if rng.random() < twice else 1
        return [rng.uniform(0, late_s) for _ in range(copies)]

    return fate


def black_hole(mtu_bytes: int) -> Fate:
    """Larger packets vanish, both ways, and nobody is told."""

    def fate(frame: bytes, _way: Way) -> Sequence[float]:
        return (0.0,) if len(frame) <= HEADER_BYTES + mtu_bytes else ()

    return fate


class Host:
    """One namespace's two devices, and the thread between them; from `with` to its end."""

    def __init__(self, namespace: Namespace) -> None:
        namespace.run(_keep_silent)
        self._sockets = {way: _opened(namespace, way.value) for way in Way}
        self._fate: Fate = passes
        self._shouted: tuple[bytes, ...] = ()
        self._late: list[tuple[float, int, Way, bytes]] = []  # a heap
        self._count = itertools.count()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._relay, name="host", daemon=True)

    def __enter__(self) -> Host:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        for sock in self._sockets.values():
            sock.close()

    @contextlib.contextmanager
    def treating(self, fate: Fate) -> Iterator[None]:
        """Frames fare so, for a while."""
        before, self._fate = self._fate, fate
        try:
            yield
        finally:
            self._fate = before

    def say(self, frame: bytes) -> None:
        """Send one to the box."""
        self._send(Way.TO_BOX, frame)

    @contextlib.contextmanager
    def shouting(self, *frames: bytes) -> Iterator[None]:
        """Say these to the box again and again, for a while."""
        self._shouted = frames
        try:
            yield
        finally:
            self._shouted = ()

    def _relay(self) -> None:
        poll = select.poll()
        comes_from = {}  # descriptor -> which way its frames go on
        for way, opposite in ((Way.FROM_BOX, Way.TO_BOX), (Way.TO_BOX, Way.FROM_BOX)):
            comes_from[self._sockets[opposite].fileno()] = way
            poll.register(self._sockets[opposite], select.POLLIN)
        shouted_s = 0.0
        while not self._stop.is_set():
            for descriptor, _ in poll.poll(self._pause_s() * 1000):
                self._take(comes_from[descriptor])
            now_s = time.monotonic()
            while self._late and self._late[0][0] <= now_s:
                _, _, way, frame = heapq.heappop(self._late)
                self._send(way, frame)
            if now_s - shouted_s >= _SHOUT_S:
                shouted_s = now_s
                for frame in self._shouted:
                    self.say(frame)

    def _pause_s(self) -> float:
        pause_s = _SHOUT_S if self._shouted else _LOOK_S
        if self._late:
            pause_s = min(pause_s, max(self._late[0][0] - time.monotonic(), 0))
        return pause_s

    def _take(self, way: Way) -> None:
        """All that waits there."""
        other = Way.TO_BOX if way is Way.FROM_BOX else Way.FROM_BOX
        with contextlib.suppress(OSError):  # no more; or the interface is going
            while True:
                frame, address = self._sockets[other].recvfrom(65536)
                if address[2] == _PACKET_OUTGOING:
                    continue
                for late_s in self._fate(frame, way):
                    if late_s == 0:
                        self._send(way, frame)
                    else:
                        due_s = time.monotonic() + late_s
                        heapq.heappush(self._late, (due_s, next(self._count), way, frame))

    def _send(self, way: Way, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # a cable that is down, or full, loses frames
            self._sockets[way].send(frame)


def _opened(namespace: Namespace, interface: str) -> socket.socket:
    sock = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    sock.bind((interface, _ETH_P_ALL))
    sock.setblocking(False)  # noqa: FBT003
    return sock


def _keep_silent() -> None:
    """The host's own kernel says nothing on either cable."""
    for device in (TO_BOX, TO_CENTRE):
        Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_text("1")
