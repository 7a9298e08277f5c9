"""The hand at the sensor: the client side of libfprint's `virtual_image` driver.

The process under test opens libfprint with FP_VIRTUAL_IMAGE=PATH; libfprint listens on PATH
while its device is open, and this puts fingers on it. Every message begins with two int32 in
host order: width and height of an image whose pixels follow, or a negative command and its
argument (libfprint 1.94, libfprint/drivers/virtual-image.c, recv_image_hdr_recv_cb).

Never lay a finger down before it is asked for: the driver keeps an early image and gives it to
the next capture. `lay` therefore refuses while an earlier message is unread, and can wait until
what it sent was taken. libfprint has room for one client: a second one throws the first out.

Knows nothing of how fingers look. Errors: `SensorError`, a reason in words.
"""

import contextlib
import enum
import fcntl
import functools
import socket
import struct
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sdbox_agent.profile import schema
from sdbox_agent.sensorkind import SensorKind

_HEADER = struct.Struct("=ii")

# virtual-image.c, recv_image_hdr_recv_cb.
_RETRY, _ERROR, _AUTOMATIC_FINGER, _FINGER, _UNPLUG = -1, -2, -3, -4, -5
MAX_SIDE_PX = 5000  # a larger image makes the driver hang up

# Ours.
_KIND = Path(__file__).parents[2] / "firmware_profiles/sensors/virtual-image.toml"
_POLL_S = 0.005
_CONNECT_S = 5.0
_SEND_S = 5.0


@functools.cache
def kind() -> SensorKind:
    """What the rig's profile says of this sensor."""
    return schema.parse_sensor(_KIND.read_bytes()).kind


class SensorError(Exception):
    """The virtual sensor is not there, hung up, or did not take what was sent."""


class Retry(enum.IntEnum):
    """FpDeviceRetry: what the person can do better."""

    GENERAL = 0
    TOO_SHORT = 1
    CENTER_FINGER = 2
    REMOVE_FINGER = 3


class DeviceError(enum.IntEnum):
    """FpDeviceError: what nobody at the box can mend."""

    GENERAL = 0
    NOT_SUPPORTED = 1
    NOT_OPEN = 2
    ALREADY_OPEN = 3
    BUSY = 4
    PROTO = 5
    DATA_INVALID = 6
    DATA_NOT_FOUND = 7
    DATA_FULL = 8


class VirtualSensor:
    """One connection to an open virtual sensor; a context manager."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(_SEND_S)

    @classmethod
    def connect(cls, path: Path, deadline_s: float = _CONNECT_S) -> Self:
        """Wait for the device to be opened, then connect.

        The socket appears when libfprint opens the device and goes when it closes it; a file
        left by a process that was killed refuses connections, and is waited out too.

        Raises:
            SensorError: nobody listened within the deadline, or the path is too long.
        """
        end = time.monotonic() + deadline_s
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                connection.settimeout(max(_POLL_S, end - time.monotonic()))
                connection.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError, TimeoutError):
                connection.close()
            except OSError as error:
                connection.close()
                raise SensorError(f"cannot reach the sensor: errno {error.errno}") from error
            else:
                return cls(connection)
            if time.monotonic() >= end:
                raise SensorError("no sensor was opened in time")
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        """Nothing to do: it is connected."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go."""
        self.close()

    def lay(self, pixels: NDArray[np.uint8], *, taken_within_s: float | None = None) -> None:
        """Lay a finger on the sensor, whose image this is: uint8 (rows, columns), ridges dark.

        Args:
            pixels: the image; a side of 0 or over 5000 px is not sent.
            taken_within_s: wait until libfprint has read it all, at most so long.

        Raises:
            ValueError: not an 8-bit image of a size the driver takes.
            SensorError: an earlier message is still unread, the driver hung up, or it did not
                read this one in time (then no capture is running, and the next would get it).
        """
        if pixels.ndim != 2 or pixels.dtype != np.uint8:
            raise ValueError("not an 8-bit grey image")
        height, width = pixels.shape
        if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
            raise ValueError("the driver takes no image of that size")
        if self.unread():
            raise SensorError("the sensor has not read the last message")
        self._send(_HEADER.pack(width, height) + np.ascontiguousarray(pixels).tobytes())
        if taken_within_s is not None:
            self.wait_taken(taken_within_s)

    def retry(self, reason: Retry) -> None:
        """Let the running capture end with "touch again"; the device stays usable."""
        self._send(_HEADER.pack(_RETRY, reason))

    def error(self, code: DeviceError) -> None:
        """Let the running capture end with a device error."""
        self._send(_HEADER.pack(_ERROR, code))

    def automatic_finger(self, *, on: bool) -> None:
        """Whether an image brings its own finger-down and finger-up (it does at first)."""
        self._send(_HEADER.pack(_AUTOMATIC_FINGER, int(on)))

    def finger(self, *, down: bool) -> None:
        """Report finger down or up by hand; wants `automatic_finger(on=False)` first."""
        self._send(_HEADER.pack(_FINGER, int(down)))

    def unplug(self) -> None:
        """Pull the sensor out: libfprint reports the device removed."""
        self._send(_HEADER.pack(_UNPLUG, 0))

    def send_raw(self, data: bytes) -> None:
        """Send these very bytes: for faults (a torn image, a giant header)."""
        self._send(data)

    def unread(self) -> bool:
        """Whether libfprint has yet to read something of what was sent."""
        # SIOCOUTQ, unix(7): bytes in the send queue the peer has not read; same number as TIOCOUTQ.
        answer = fcntl.ioctl(self._connection, termios.TIOCOUTQ, b"\0\0\0\0")
        return answer != b"\0\0\0\0"

    def wait_taken(self, within_s: float) -> None:
        """Wait until libfprint has read everything; SensorError if it has not in time."""
        end = time.monotonic() + within_s
        while self.unread():
            if time.monotonic() >= end:
                raise SensorError("the sensor did not read the message: no capture is running")
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Let go; a capture that is running stays pending (libfprint sees no error)."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def _send(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise SensorError(f"the sensor hung up: errno {error.errno}") from error
