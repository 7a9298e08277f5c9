"""[door] QEMU's monitor: one command, its answer; events are read past.

Docs: QEMU, docs/interop/qmp-spec.rst. Raises `Monitor.Refused` with QEMU's own words.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_S: Final = 120.0  # a dump of the whole memory is one command
_LOOK_AGAIN_S: Final = 0.02


class Refused(Exception):  # noqa: N818  told with what QEMU says
    """It did not do it."""


class Monitor:
    """One connection."""

    def __init__(self, path: Path) -> None:
        """Raises TimeoutError if nobody listens there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_S)
        deadline = time.monotonic() + ANSWER_S
        while self._socket.connect_ex(str(path)):  # the file is there before QEMU listens
            if time.monotonic() > deadline:
                raise TimeoutError("QEMU does not listen")
            time.sleep(_LOOK_AGAIN_S)
        self._lines = self._socket.makefile("rb")
        self._next()  # its greeting
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  JSON
        """Raises Refused, TimeoutError, EOFError."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        message = {"execute": command, "arguments": named}
        self._socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = self._next()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Refused(f"{command}: {answer['error']['desc']}")

    def close(self) -> None:
        """Hang up; the machine goes on."""
        self._lines.close()
        self._socket.close()

    def _next(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise EOFError("QEMU has hung up")
        found = json.loads(line)
        assert isinstance(found, dict)
        return found
