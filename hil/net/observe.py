"""[door] A witness on a cable: every frame that passes, with the kernel's time of it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.net.namespace import Namespace

    Cable = tuple[Namespace, str]  # where a witness sits: a namespace, an interface in it

_ETH_P_ALL: Final = 3
_SO_RCVBUFFORCE: Final = 33  # asm-generic/socket.h; SO_RCVBUF stops at net.core.rmem_max
_SO_TIMESTAMPNS: Final = 35
_SOL_PACKET: Final = 263  # linux/socket.h
_PACKET_OUTGOING: Final = 4  # linux/if_packet.h
_PACKET_STATISTICS: Final = 6
_PACKET_AUXDATA: Final = 8
_STATISTICS: Final = struct.Struct("=II")  # struct tpacket_stats: seen, dropped
# struct tpacket_auxdata: status, lengths, offsets, VLAN tag, its ethertype
_AUXDATA: Final = struct.Struct("=IIIHHHH")
_VLAN_VALID: Final = 1 << 4  # TP_STATUS_VLAN_VALID
_TIMESPEC: Final = struct.Struct("=qq")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_AUXDATA.size)
_ETHERTYPES: Final = {0x0800: 4, 0x86DD: 6}
_TCP, _UDP, _ICMP6 = 6, 17, 58
_CATCH_UP_S: Final = 30.0  # late is not never


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


class Tap:
    """Hands every frame on one interface of a namespace to `take`, from `with` to its end.

    A witness that missed something proves nothing: leaving raises RuntimeError if the kernel had to
    drop a frame, if the interface went away, or if `take` failed.
    """

    def __init__(self, cable: Cable, take: Callable[[bytes, int, bool], None]) -> None:
        """`take` gets a frame's bytes, the kernel's time of it, and whether it was sent from here.

        It is called in a thread of the tap's own.
        """
        namespace, interface = cable
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 * 1024 * 1024)
        self._socket.bind((interface, _ETH_P_ALL))
        self._socket.settimeout(0)
        self._interface = interface
        self._take = take
        self._stop = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Whoever waits, and since when: answered when all of before that moment has been taken.
        self._asked = (threading.Event(), 0)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        time.sleep(0.05)  # what is on its way
        try:
            if not any(error):
                self.catch_up()
        finally:
            self._close(*error)

    def _close(self, *error: object) -> None:
        self._stop.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        bound_to = self._socket.getsockname()[0]  # unbound for good where the interface was deleted
        self._socket.close()
        _, dropped = _STATISTICS.unpack(statistics)
        if dropped and not any(error):
            raise RuntimeError(f"the witness missed {dropped} frames")
        if bound_to != self._interface and not any(error):
            raise RuntimeError("the witness's interface went away")

    def catch_up(self) -> None:
        """Until all that has passed by now has been taken. Raises RuntimeError if that never is."""
        answer = threading.Event()
        self._asked = (answer, now_ns())
        os.eventfd_write(self._wake, 1)
        if not answer.wait(_CATCH_UP_S) or self._failure is not None:
            raise RuntimeError("the witness does not keep up") from self._failure

    def _watch(self) -> None:
        waiting = select.poll()
        for source in (self._socket, self._wake):
            waiting.register(source, select.POLLIN)
        while not self._stop.is_set():
            asked, asked_ns = self._asked
            try:
                data, ancillary, _, address = self._socket.recvmsg(65536, _ANCILLARY_BYTES)
            except BlockingIOError:
                asked.set()
                waiting.poll()
                with contextlib.suppress(BlockingIOError):  # it was a frame
                    os.eventfd_read(self._wake)
                continue
            except OSError:  # the interface is gone, or down
                time.sleep(0.01)
                continue
            told = {(level, kind): content for level, kind, content in ancillary}
            seconds, ns = _TIMESPEC.unpack(told[socket.SOL_SOCKET, _SO_TIMESTAMPNS])
            time_ns = seconds * 10**9 + ns
            if time_ns > asked_ns:
                asked.set()
            if self._failure is None:
                frame = _tagged(data, told[_SOL_PACKET, _PACKET_AUXDATA])
                self._try_to_take(frame, time_ns, outgoing=address[2] == _PACKET_OUTGOING)

    def _try_to_take(self, data: bytes, time_ns: int, *, outgoing: bool) -> None:
        try:
            self._take(data, time_ns, outgoing)
        except Exception as error:  # noqa: BLE001  told to whoever waits
            self._failure = error


def _tagged(data: bytes, auxdata: bytes) -> bytes:
    """The frame as it was on the cable: the kernel has put its outermost VLAN tag beside it."""
    status, *_, tag, ethertype = _AUXDATA.unpack(auxdata)
    if not status & _VLAN_VALID:
        return data
    return data[:12] + struct.pack("!HH", ethertype, tag) + data[12:]


class Observer(Tap):
    """Collects every frame, as far as it can be read."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        super().__init__((namespace, interface), self._note)
        self.frames: list[Frame] = []

    def _note(self, data: bytes, time_ns: int, outgoing: bool) -> None:  # noqa: FBT001
        self.frames.append(read(data, time_ns, outgoing=outgoing))

    def arrived(self, keep: Callable[[Frame], bool] = lambda _: True) -> list[Frame]:
        """Frames that came in from the other end of the cable."""
        return [frame for frame in list(self.frames) if not frame.outgoing and keep(frame)]


def now_ns() -> int:
    """The clock of the frames' times."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)
