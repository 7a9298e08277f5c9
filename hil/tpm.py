"""The rig's security chip: swtpm, behind a socket that stands where a box has its device.

    with SoftTpm(directory, root / "dev/tpmrm0") as chip: …

A software TPM proves nothing about hardware: whoever copies its directory has copied the chip.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

START_S: Final = 10.0
_MAKE: Final = ("--tpm2", "--lock-nvram")


class SoftTpm:
    """One chip. `start` is power on, `stop` power off; its directory is what it remembers."""

    def __init__(self, directory: Path, socket_path: Path, uid: int | None = None) -> None:
        """`uid`: who may ask it besides root."""
        self._uid = uid
        self.directory = directory
        self.socket_path = socket_path
        self._control = socket_path.with_name(f"{socket_path.name}.ctrl")  # where libtss2 looks
        self._process: subprocess.Popen[bytes] | None = None
        if not directory.exists():
            directory.mkdir(mode=0o700)
            made = ["swtpm_setup", "--tpmstate", f"dir://{directory}", *_MAKE]
            subprocess.run(made, check=True, capture_output=True, timeout=START_S)

    def __enter__(self) -> Self:
        """Power on."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Power off."""
        self.stop()

    @property
    def pid(self) -> int:
        """Of the running chip."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Raises RuntimeError with its own words if it does not come up."""
        self._process = subprocess.Popen(
            [
                "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.directory}",
                "--server", f"type=unixio,path={self.socket_path}",
                "--ctrl", f"type=unixio,path={self._control}",
                "--flags", "not-need-init,startup-clear",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), contextlib.ExitStack() as both:
                for path in (self._control, self.socket_path):
                    both.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
                self._open_to()
                return
            time.sleep(0.01)
        words = self._process.stdout.read() if self._process.poll() is not None else b"mute"  # type: ignore[union-attr]
        self.stop()
        raise RuntimeError(words.decode(errors="replace"))

    def _open_to(self) -> None:
        if self._uid is not None:
            for path in (self.socket_path, self._control):
                os.chown(path, self._uid, self._uid)

    def stop(self) -> None:
        """As if its power went: what it has not yet written is lost."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None
        for path in (self.socket_path, self._control):
            path.unlink(missing_ok=True)

    def tool(self, *command: str) -> str:
        """One of tpm2-tools on it: another maker's hand. Raises CalledProcessError."""
        return subprocess.run(
            command,
            env={**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={self.socket_path}"},
            check=True,
            capture_output=True,
            text=True,
            timeout=START_S,
        ).stdout
