"""[door] The kernel's netlink sockets: links of a namespace, sets of the walls.

`Links` is one namespace seen through a socket opened in it, by us or by whoever passed it. Does not
know wireguard-go, nor why anything is asked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, Final, TypeVar

from sdbox_agent.hardening import wipe
from sdbox_agent.tunnel import netlink, nfset, rtnetlink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sdbox_agent.tunnel.config import Interface

# <linux/netlink.h>
NETLINK_NETFILTER: Final = 12
NETLINK_GENERIC: Final = 16
_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
# ours
DEADLINE_S: Final = 1.0
REPLY_MAX_BYTES: Final = 64 * 1024
Part = TypeVar("Part")
HUSHED: Final = 1000  # changes at once: whoever makes more holds up no lease


class Netlink:
    """Requests over one netlink socket, each acknowledged by the kernel."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(DEADLINE_S)
        self._sock = sock
        self._sequence = 0  # of the last request
        self._first = 1  # of what was sent last

    def run(self, requests: Sequence[netlink.Request]) -> None:
        """All of them, in order. Raises OSError with the kernel's errno at the first refusal."""
        self._send([(request, netlink.NLM_F_ACK) for request in requests])
        self._acknowledged(len(requests))

    def batch(self, requests: Sequence[netlink.Request]) -> None:
        """One nftables transaction. Raises OSError, and then nothing of it is done."""
        inner = [(request, netlink.NLM_F_ACK) for request in requests]
        self._send([(nfset.BATCH_BEGIN, 0), *inner, (nfset.BATCH_END, 0)])
        self._acknowledged(len(requests))

    def dump(self, request: netlink.Request) -> list[netlink.Reply]:
        """Every answer to a dump."""
        self._send([(request, 0)])
        found = []
        for reply in self._replies():
            if reply.kind in {netlink.NLMSG_DONE, netlink.NLMSG_ERROR}:
                self._raise_on_error(reply)
                break
            found.append(reply)
        return found

    def ask(self, request: netlink.Request) -> netlink.Reply:
        """The one answer to a question. Raises OSError with the kernel's errno."""
        self._send([(request, 0)])
        reply = next(iter(self._replies()))
        if reply.kind == netlink.NLMSG_ERROR:
            self._raise_on_error(reply)
        return reply

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()

    def _send(self, requests: Sequence[tuple[netlink.Request, int]]) -> None:
        self._forget()
        self._first = self._sequence + 1
        frames = []
        for request, flags in requests:
            self._sequence += 1
            frames.append(netlink.frame(request, self._sequence, netlink.NLM_F_REQUEST | flags))
        self._sock.sendto(b"".join(frames), (0, 0))

    def _forget(self) -> None:
        """Read away what an exchange that was cut short has left.

        It may have been another's: the helper's socket outlives the helper. The kernel begins no
        dump while another one has not been read to its end (EBUSY).
        """
        self._sock.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._sock.recv(1)  # the rest of the datagram goes with it, and keys in it unread
        self._sock.settimeout(DEADLINE_S)

    def _replies(self) -> Iterable[netlink.Reply]:
        """Answers to what was sent last; anything older is of a request that had failed."""
        while True:
            datagram, (port, _groups) = self._sock.recvfrom(REPLY_MAX_BYTES)
            if port != 0:
                continue  # not the kernel
            for reply in netlink.parse(datagram):
                if self._first <= reply.sequence <= self._sequence:
                    yield reply

    def _acknowledged(self, count: int) -> None:
        for _, reply in zip(range(count), self._replies(), strict=False):
            self._raise_on_error(reply)

    @staticmethod
    def _raise_on_error(reply: netlink.Reply[bytes] | netlink.Reply[memoryview]) -> None:
        if number := netlink.errno(reply):
            raise OSError(number, os.strerror(number))


class Bell:
    """Rings when something of its groups has changed, and does not say what: look it up.

    So nothing is lost when it rings more often than it can count.
    """

    def __init__(self, protocol: int, groups: int) -> None:
        """`groups` as netlink(7) has them for `bind`. Raises OSError."""
        self._sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        self._sock.bind((0, groups))
        self._sock.settimeout(0)

    def fileno(self) -> int:
        """Readable when it has rung."""
        return self._sock.fileno()

    def hush(self) -> None:
        """Let it be silent until the next change; or, where changes do not cease, ring again."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(HUSHED):
                try:
                    self._sock.recv(1)  # the rest of the datagram goes with it
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()


class Links(Netlink):
    """The interfaces of one namespace."""

    @classmethod
    def here(cls) -> Links:
        """Of the namespace this process is in."""
        return cls(
            socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
        )

    def all(self) -> list[rtnetlink.Link]:
        """Every interface."""
        return [rtnetlink.parse_link(reply) for reply in self.dump(rtnetlink.links())]

    def addresses(self) -> list[Interface]:
        """Every address, with the prefix that is on its link."""
        return [rtnetlink.parse_address(reply) for reply in self.dump(rtnetlink.addresses())]

    def named(self, name: str) -> rtnetlink.Link | None:
        """The interface of that name."""
        return next((link for link in self.all() if link.name == name), None)

    def index(self, name: str) -> int | None:
        """The number of the interface of that name."""
        link = self.named(name)
        return None if link is None else link.index


class Sets(Netlink):
    """The sets in the walls of this process's namespace. Absent walls are an error: ENOENT."""

    @classmethod
    def here(cls) -> Sets:
        """Of the namespace this process is in."""
        return cls(
            socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
            )
        )


class Keyed(Netlink):
    """Requests and answers with keys in them: each lies in one buffer, and nowhere else."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        sock.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)  # a refusal repeats no request

    def tell(self, message: bytearray) -> None:
        """Send it, and wipe it. Raises OSError with the kernel's errno at a refusal."""
        try:
            self._forget()
            self._sequence += 1
            self._first = self._sequence
            netlink.stamp(message, self._sequence, netlink.NLM_F_REQUEST | netlink.NLM_F_ACK)
            self._sock.sendto(message, (0, 0))
        finally:
            wipe(message)
        self._acknowledged(1)

    def hear(self, request: netlink.Request, read: Callable[[memoryview], Part]) -> list[Part]:
        """What `read` makes of every answer to a dump, as it lies there: it is wiped after.

        Raises OSError, and what `read` does.
        """
        self._send([(request, 0)])
        buffer = bytearray(REPLY_MAX_BYTES)
        found: list[Part] = []
        try:
            while True:
                size, (port, _groups) = self._sock.recvfrom_into(buffer)
                if port != 0:
                    continue  # not the kernel
                for reply in netlink.parse(memoryview(buffer)[:size]):
                    if reply.sequence != self._sequence:
                        continue
                    if reply.kind in {netlink.NLMSG_DONE, netlink.NLMSG_ERROR}:
                        self._raise_on_error(reply)
                        return found
                    found.append(read(reply.body))
        finally:
            wipe(buffer)
