"""[door] A witness on a cable: every frame that passes, with the kernel's time of it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.net.namespace import Namespace

_ETH_P_ALL: Final = 3
_SO_RCVBUFFORCE: Final = 33  # asm-generic/socket.h; SO_RCVBUF stops at net.core.rmem_max
_SO_TIMESTAMPNS: Final = 35
_SOL_PACKET: Final = 263  # linux/socket.h
_PACKET_OUTGOING: Final = 4  # linux/if_packet.h
_PACKET_STATISTICS: Final = 6
_STATISTICS: Final = struct.Struct("=II")  # struct tpacket_stats: seen, dropped
_TIMESPEC: Final = struct.Struct("=qq")
_ETHERTYPES: Final = {0x0800: 4, 0x86DD: 6}
_TCP, _UDP, _ICMP6 = 6, 17, 58


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; addresses and ports as far as it has any."""

    time_ns: int  # CLOCK_REALTIME, from the kernel
    outgoing: bool  # sent by the namespace the witness is in
    ethertype: int
    protocol: int | None = None
    source: str = ""
    destination: str = ""
    source_port: int = 0
    port: int = 0
    icmp_type: int | None = None
    length_bytes: int = 0

    @property
    def neighbour_discovery(self) -> bool:
        """ARP, or IPv6's own (RFC 4861: types 133 to 137), or its multicast reports."""
        return self.ethertype == 0x0806 or self.icmp_type in {133, 134, 135, 136, 137, 143}


def read(data: bytes, time_ns: int, *, outgoing: bool) -> Frame:
    """What a frame is; anything odd keeps its ethertype and no more."""
    ethertype = int.from_bytes(data[12:14], "big")
    bare = Frame(time_ns, outgoing, ethertype, length_bytes=len(data))
    version = _ETHERTYPES.get(ethertype)
    if version is None or len(data) < {4: 34, 6: 54}[version]:
        return bare
    if version == 4:
        body = 14 + 4 * (data[14] & 15)
        protocol, source, destination = data[23], data[26:30], data[30:34]
    else:
        body, protocol, source, destination = 54, data[20], data[22:38], data[38:54]
        if protocol == 0 and len(data) > body + 1:  # options before multicast reports
            protocol, body = data[body], body + 8 + 8 * data[body + 1]
    inner = data[body : body + 4].ljust(4, b"\0")
    ports = struct.unpack("!HH", inner) if protocol in {_TCP, _UDP} else (0, 0)
    return replace(
        bare,
        protocol=protocol,
        source=str(ip_address(source)),
        destination=str(ip_address(destination)),
        source_port=ports[0],
        port=ports[1],
        icmp_type=inner[0] if protocol == _ICMP6 else None,
    )


class Observer:
    """Collects every frame on one interface of a namespace, from `with` to its end.

    A witness that missed something proves nothing: leaving raises RuntimeError if the kernel had to
    drop a frame.
    """

    def __init__(self, namespace: Namespace, interface: str) -> None:
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 * 1024 * 1024)
        self._socket.bind((interface, _ETH_P_ALL))
        self._socket.settimeout(0.2)
        self._stop = threading.Event()
        self._end_ns = 0  # of its watch, once `_stop` is set
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.frames: list[Frame] = []

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        time.sleep(0.05)  # what is on its way
        self._end_ns = now_ns()
        self._stop.set()
        self._thread.join()
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        self._socket.close()
        _, dropped = _STATISTICS.unpack(statistics)
        if dropped and not any(error):
            raise RuntimeError(f"the witness missed {dropped} frames")

    def _watch(self) -> None:
        """All that came before the end, also what a busy machine has not let us read by then."""
        while True:
            over = self._stop.is_set()
            try:
                data, ancillary, _, address = self._socket.recvmsg(65536, 64)
            except TimeoutError:
                if over:
                    return
                continue
            except OSError:  # the interface is gone, or down
                time.sleep(0.01)
                continue
            seconds, ns = _TIMESPEC.unpack(ancillary[0][2]) if ancillary else (0, 0)
            time_ns = seconds * 10**9 + ns
            if over and time_ns > self._end_ns:
                return
            outgoing = address[2] == _PACKET_OUTGOING
            self.frames.append(read(data, time_ns, outgoing=outgoing))

    def arrived(self, keep: Callable[[Frame], bool] = lambda _: True) -> list[Frame]:
        """Frames that came in from the other end of the cable."""
        return [frame for frame in list(self.frames) if not frame.outgoing and keep(frame)]


def now_ns() -> int:
    """The clock of the frames' times."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)
