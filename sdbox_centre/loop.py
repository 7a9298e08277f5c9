"""One thread's wait for many sockets [door], which a signal handler or another thread can end."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Loop:
    """Sockets and descriptors, each watched on behalf of an owner."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def watch(self, sock: socket.socket | int, events: int, owner: object) -> None:
        """For those events, if any, from now on."""
        key = self._selector.get_map().get(sock)
        if key is None and events:
            self._selector.register(sock, events, owner)
        elif key is not None and not events:
            self._selector.unregister(sock)
        elif key is not None and (key.events, key.data) != (events, owner):
            self._selector.modify(sock, events, owner)

    def ready(self, timeout_s: float | None) -> Iterator[tuple[object, object, int]]:
        """Owner, socket and events of each that is ready; none when woken, or in time."""
        for key, events in self._selector.select(timeout_s):
            if key.fileobj is self._woken:
                with suppress(BlockingIOError):
                    self._woken.recv(4096)
            else:
                yield key.data, key.fileobj, events

    def wake(self) -> None:
        """End `ready`; from a signal handler, too."""
        with suppress(OSError):  # awake, or closed
            self._wake.send(b"x", socket.MSG_DONTWAIT)

    def close(self) -> None:
        """No more waiting."""
        for sock in (self._wake, self._woken):
            sock.close()
        self._selector.close()
