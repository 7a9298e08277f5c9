"""The sensor through libfprint 2, by PyGObject [door].

libfprint never gives up by itself, forgets a peer that went silent, and dies on tiny images inside
its own capture: so every wait here has a deadline, and this module belongs in a process of its own.
Frames come as libfprint makes them upright; its minutiae are not used (see detect).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final, Self

import gi
import numpy as np

gi.require_version("FPrint", "2.0")
from gi.repository import FPrint, Gio, GLib  # noqa: E402  the version must be named first

from sdbox_agent.errors import AskAgain, Fault, SdboxError  # noqa: E402
from sdbox_agent.sensor.gloop import Waiting  # noqa: E402
from sdbox_agent.sensor.port import Frame, Interrupted, check_size  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

# -- libfprint 2: fp-device.h --------------------------------------------------------------------

RETRY_DOMAIN: Final = "fp - device - retry - quark"
DEVICE_DOMAIN: Final = "fp - device - error - quark"
REMOVED: Final = 0x100  # FP_DEVICE_ERROR_REMOVED
RETRIES: Final = {  # FpDeviceRetry
    0: "finger-poor",  # GENERAL: no minutiae were found
    1: "too-short-touch",
    2: "centre-finger",
    3: "lift-and-place",  # REMOVE_FINGER
}

# -- ours ----------------------------------------------------------------------------------------

CANCEL_S: Final = 2.0  # a driver that does not stop in this time is broken
# An image that waited in a buffer comes within 1 ms of libfprint's being ready, a finger that
# rests on the sensor with the driver's next look at it; nobody sees this pass.
CLEAR_S: Final = 0.05


class LibfprintSensor:
    """The one sensor that libfprint finds and that gives images."""

    def __init__(self) -> None:
        self.driver = ""
        self._context: Any = None
        self._device: Any = None
        self._removed = False

    def open(self) -> None:
        """As the port. Two sensors are a Fault: which one would the person touch?"""
        self._context = FPrint.Context()
        able = [
            device
            for device in self._context.get_devices()
            if device.has_feature(FPrint.DeviceFeature.CAPTURE)
        ]
        if not able:
            raise Fault("sensor-missing")
        if len(able) > 1:
            raise Fault("sensor-ambiguous")
        device = able[0]
        device.connect("removed", self._on_removed)
        try:
            device.open_sync(None)
        except GLib.Error as error:
            raise _translated(error) from None
        self._device = device
        self.driver = device.get_driver()

    def capture(
        self,
        deadline_s: float,
        interrupt_fd: int,
        waiting: Callable[[], None],
        early: Callable[[], None] = lambda: None,
    ) -> Frame:
        """As the port. A finger that is there too early is over for libfprint when it is lifted."""
        if self._device is None:
            raise Fault("sensor-failed")
        end_s, told = time.monotonic() + deadline_s, False
        while True:
            with _Capture(self._device, end_s, interrupt_fd, lambda: self._removed) as capture:
                if capture.is_clear():
                    waiting()
                    return _frame(capture.image())
                if not told:
                    told = True
                    early()
                capture.image()

    def close(self) -> None:
        """As the port."""
        device, self._device = self._device, None
        if device is not None and device.is_open():
            with contextlib.suppress(GLib.Error):  # it is gone; there is nothing to close
                device.close_sync(None)
        self._context = None  # not before: it holds the USB context that the device is closed in

    def _on_removed(self, *_: object) -> None:
        self._removed = True


class _Capture:
    """One capture of libfprint's; a context manager that leaves none running and no signal."""

    def __init__(
        self,
        device: Any,  # noqa: ANN401  PyGObject has no types
        end_s: float,
        interrupt_fd: int,
        removed: Callable[[], bool],
    ) -> None:
        """`end_s`: when it is over, on the monotonic clock."""
        self._device = device
        self._end_s = end_s
        self._interrupt_fd = interrupt_fd
        self._removed = removed
        self._cancel = Gio.Cancellable()
        self._results: list[Any] = []
        self._touched = False

    def __enter__(self) -> Self:
        """Begin."""
        self._signal = self._device.connect("notify::finger-status", self._on_status)
        self._device.capture(True, self._cancel, self._on_result)  # noqa: FBT003  GLib's own
        return self

    def __exit__(self, *_: object) -> None:
        """End it, if it has not ended."""
        try:
            if not self._results:
                self._stop()
        finally:
            self._device.disconnect(self._signal)

    def is_clear(self) -> bool:
        """Wait until libfprint is ready for a finger: is there none yet, for CLEAR_S?"""
        self._wait(lambda: self._over() or self._status(FPrint.FingerStatusFlags.NEEDED))
        with Waiting(CLEAR_S, self._interrupt_fd) as wait:
            wait.until(lambda: self._over() or self._touched)
        if wait.interrupted:
            raise Interrupted
        return not self._touched

    def image(self) -> Any:  # noqa: ANN401
        """What it gave. Raises as the port."""
        self._wait(self._over)
        if not self._results:  # libfprint would wait for ever
            raise Fault("sensor-missing")
        try:
            return self._device.capture_finish(self._results[0])
        except GLib.Error as error:
            raise _translated(error) from None

    def _over(self) -> bool:
        return bool(self._results) or self._removed()

    def _status(self, flag: Any) -> bool:  # noqa: ANN401
        return bool(self._device.get_finger_status() & flag)

    def _wait(self, done: Callable[[], bool]) -> None:
        """Raises Interrupted, or AskAgain("finger-timeout")."""
        with Waiting(max(0.0, self._end_s - time.monotonic()), self._interrupt_fd) as wait:
            if wait.until(done):
                return
        if wait.interrupted:
            raise Interrupted
        raise AskAgain("finger-timeout")

    def _stop(self) -> None:
        self._cancel.cancel()
        with Waiting(CANCEL_S) as wait:
            if not wait.until(lambda: bool(self._results)):
                raise Fault("sensor-failed")

    def _on_result(self, _device: object, result: object) -> None:
        self._results.append(result)

    def _on_status(self, *_: object) -> None:
        self._touched = self._touched or self._status(FPrint.FingerStatusFlags.PRESENT)


def _frame(image: Any) -> Frame:  # noqa: ANN401
    width, height = image.get_width(), image.get_height()
    check_size(width, height)
    pixels = np.frombuffer(image.get_data(), dtype=np.uint8)
    if pixels.size != width * height:
        raise Fault("sensor-failed")
    return Frame(pixels.reshape(height, width))


def _translated(error: Any) -> SdboxError:  # noqa: ANN401  GLib.Error
    if error.domain == RETRY_DOMAIN:
        return AskAgain(RETRIES.get(error.code, "finger-poor"))
    if error.domain == DEVICE_DOMAIN and error.code == REMOVED:
        return Fault("sensor-missing")
    return Fault("sensor-failed")
