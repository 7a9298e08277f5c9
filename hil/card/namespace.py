"""A network namespace of our own, held by a descriptor: it ends with the process that holds it.

Threads enter one for themselves (setns(2) is a thread's), so that a card can stand in the same
namespace as its reader while the test around it stays where it is. Needs CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_CLONE_NEWNET: Final = 0x4000_0000  # linux/sched.h
_SIOCSIFFLAGS: Final = 0x8914  # linux/sockios.h
_IFF_UP: Final = 0x1  # linux/if.h
_IFREQ_NAME_BYTES: Final = 16
_THIS_THREAD: Final = Path("/proc/thread-self/ns/net")
_libc: Final = ctypes.CDLL(None, use_errno=True)


class NetworkNamespace:
    """A namespace, open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def create(cls) -> NetworkNamespace:
        """A new one, with nothing in it but `lo`, up. Raises OSError."""
        made: list[int | OSError] = []

        def make() -> None:
            try:
                _check(_libc.unshare(_CLONE_NEWNET))
                _loopback_up()
                made.append(os.open(_THIS_THREAD, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                made.append(error)

        _in_a_thread(make)
        if isinstance(made[0], OSError):
            raise made[0]
        return cls(made[0])

    @classmethod
    def open(cls, path: Path) -> NetworkNamespace:
        """One that is there, by its file (/run/netns/NAME, /proc/PID/ns/net). Raises OSError."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Its descriptor, for a child that is to be started inside."""
        return self._descriptor

    def enter(self) -> None:
        """Move the calling thread into it for good. Raises OSError."""
        _check(_libc.setns(self._descriptor, _CLONE_NEWNET))

    def close(self) -> None:
        """Let it go; it ends once nobody is in it any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack(f"{_IFREQ_NAME_BYTES}sH22x", b"lo", _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def _in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, name="namespace")
    thread.start()
    thread.join()


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
