"""The sensor through libfprint 2, by PyGObject [door].

libfprint never gives up by itself, forgets a peer that went silent, and dies on tiny images inside
its own capture: so every wait here has a deadline, and this module belongs in a process of its own.
Frames come as libfprint makes them upright; its minutiae are not used (see detect).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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


class LibfprintSensor:
    """The one sensor that libfprint finds and that gives images."""

    def __init__(self) -> None:
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
            raise Fault("sensor-failed")
        device = able[0]
        device.connect("removed", self._on_removed)
        try:
            device.open_sync(None)
        except GLib.Error as error:
            raise _translated(error) from None
        self._device = device

    def capture(self, deadline_s: float, interrupt_fd: int, waiting: Callable[[], None]) -> Frame:
        """As the port."""
        if self._device is None:
            raise Fault("sensor-failed")
        return self._frame(self._raw_capture(deadline_s, interrupt_fd, waiting))

    def close(self) -> None:
        """As the port."""
        device, self._device, self._context = self._device, None, None
        if device is not None and device.is_open():
            try:
                device.close_sync(None)
            except GLib.Error:
                return  # it is gone; there is nothing to close

    def _raw_capture(
        self, deadline_s: float, interrupt_fd: int, waiting: Callable[[], None]
    ) -> Any:  # noqa: ANN401  PyGObject has no types
        device, cancel = self._device, Gio.Cancellable()
        results: list[Any] = []
        told = False
        with Waiting(deadline_s, interrupt_fd) as wait:
            device.capture(True, cancel, lambda _, result: results.append(result))  # noqa: FBT003

            def settled() -> bool:
                nonlocal told
                if not told and device.get_finger_status() & FPrint.FingerStatusFlags.NEEDED:
                    told = True
                    waiting()
                return bool(results) or self._removed  # then libfprint would wait for ever

            wait.until(settled)
        if not results:
            self._stop(cancel, results)
            if self._removed:
                raise Fault("sensor-missing")
            if wait.interrupted:
                raise Interrupted
            raise AskAgain("finger-timeout")
        try:
            return device.capture_finish(results[0])
        except GLib.Error as error:
            raise _translated(error) from None

    def _stop(self, cancel: Any, results: list[Any]) -> None:  # noqa: ANN401
        cancel.cancel()
        with Waiting(CANCEL_S) as wait:
            if not wait.until(lambda: bool(results)):
                raise Fault("sensor-failed")

    def _frame(self, image: Any) -> Frame:  # noqa: ANN401
        width, height = image.get_width(), image.get_height()
        check_size(width, height)
        pixels = np.frombuffer(image.get_data(), dtype=np.uint8)
        if pixels.size != width * height:
            raise Fault("sensor-failed")
        return Frame(pixels.reshape(height, width))

    def _on_removed(self, *_: object) -> None:
        self._removed = True


def _translated(error: Any) -> SdboxError:  # noqa: ANN401  GLib.Error
    if error.domain == RETRY_DOMAIN:
        return AskAgain(RETRIES.get(error.code, "finger-poor"))
    if error.domain == DEVICE_DOMAIN and error.code == REMOVED:
        return Fault("sensor-missing")
    return Fault("sensor-failed")
