"""Connections on which somebody waits too long are cut [door]: no thread hangs on a silent server.

A server's own deadlines end what a server can still end; one that is stopped or out of reach says
nothing, and the client library would wait for ever.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_S: Final = 0.5


class Overdue:
    """One thread that looks at what is being waited for."""

    def __init__(self) -> None:
        self._ends_s: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self, descriptor: int, most_s: float) -> Iterator[None]:
        """What is done inside must be done in that time, or this socket is shut under it."""
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            with self._lock:
                self._ends_s[sock] = time.monotonic() + most_s
                if self._thread is None:
                    self._thread = threading.Thread(target=self._look, name="overdue", daemon=True)
                    self._thread.start()
            try:
                yield
            finally:
                with self._lock:
                    del self._ends_s[sock]

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_S):
            now_s = time.monotonic()
            with self._lock:
                for sock, ends_s in self._ends_s.items():
                    if ends_s <= now_s:
                        with contextlib.suppress(OSError):
                            sock.shutdown(socket.SHUT_RDWR)
