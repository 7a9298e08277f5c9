"""How much one TCP connection carries through a tunnel to its VM, measured at the VM."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from hil.net.peer import VM4

if TYPE_CHECKING:
    from hil.net.namespace import Namespace

_PORT: Final = 5001
_CHUNK: Final = bytes(256 * 1024)
_PATIENCE_S: Final = 10.0
_SETTLED_S: Final = 0.1  # the connection's window has opened


def mbit_s(box: Namespace, vm: Namespace, seconds: float) -> float:
    """From that namespace to the VM, for so long."""
    with vm.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((VM4, _PORT))
        listener.listen()
        listener.settimeout(_PATIENCE_S)
        with box.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
            sender.settimeout(_PATIENCE_S)
            sender.connect((VM4, _PORT))
            sink, _ = listener.accept()
            thread = threading.Thread(target=_send, args=(sender,))
            thread.start()
            with sink:  # left with data unread: a reset, which ends the sender
                rate = _measured(sink, seconds)
            thread.join()
            return rate


def _send(sender: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sender.send(_CHUNK)


def _measured(sink: socket.socket, seconds: float) -> float:
    sink.settimeout(_PATIENCE_S)
    buffer = bytearray(len(_CHUNK))
    _received_until(time.monotonic() + _SETTLED_S, sink, buffer)
    start_s = time.monotonic()
    total_bytes = _received_until(start_s + seconds, sink, buffer)
    return total_bytes * 8 / (time.monotonic() - start_s) / 1e6


def _received_until(end_s: float, sink: socket.socket, buffer: bytearray) -> int:
    total_bytes = 0
    while time.monotonic() < end_s:
        total_bytes += sink.recv_into(buffer)
    return total_bytes
