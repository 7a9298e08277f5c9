"""Pixels to minutiae, by libfprint's detector (NIST's mindtct inside) [door].

PyGObject shows neither a minutia's direction nor an image's resolution, so both are reached through
ctypes. `check_layout` proves, on a ridge pattern with four known minutiae, that the structures are
what we take them for; with another libfprint it is a Fault at start-up, not nonsense later.
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any, Final

import gi
import numpy as np

gi.require_version("FPrint", "2.0")
from gi.repository import FPrint, GLib  # noqa: E402  the version must be named first

from sdbox_agent.biometrics import normalise, ridges  # noqa: E402
from sdbox_agent.biometrics.direction import refined  # noqa: E402
from sdbox_agent.biometrics.minutia import (  # noqa: E402
    MM_PER_INCH,
    PPI,
    Minutia,
    MinutiaType,
    Template,
    turned,
)
from sdbox_agent.errors import AskAgain, Fault  # noqa: E402
from sdbox_agent.sensor.gloop import Waiting  # noqa: E402
from sdbox_agent.sensor.port import MAX_SIDE_PX, check_size  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# -- libfprint 1.94: fpi-image.h, nbis/include/lfs.h ---------------------------------------------


class _Image(ctypes.Structure):
    """struct _FpImage up to its resolution; a GObject (24 bytes on 64-bit) comes first."""

    _fields_ = (  # type: ignore[mutable-override]  # ctypes reads it once
        ("parent", ctypes.c_byte * 24),
        ("width", ctypes.c_uint),
        ("height", ctypes.c_uint),
        ("ppmm", ctypes.c_double),
    )


class _Minutia(ctypes.Structure):
    """struct fp_minutia up to its type."""

    _fields_ = (  # type: ignore[mutable-override]  # ctypes reads it once
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("ex", ctypes.c_int),
        ("ey", ctypes.c_int),
        ("direction", ctypes.c_int),  # 32 steps a turn, clockwise, 0 is up
        ("reliability", ctypes.c_double),  # 0..1
        ("type", ctypes.c_int),
    )


DIRECTIONS: Final = 32
TYPES: Final = {0: MinutiaType.BIFURCATION, 1: MinutiaType.ENDING}

# -- ours ----------------------------------------------------------------------------------------

PPMM: Final = PPI / MM_PER_INCH
DETECTION_S: Final = 5.0  # 1000 x 1000 pixels of noise take 3 s
_TRIAL_SIDE_PX: Final = 192
_TRIAL_PERIOD_PX: Final = 9.0  # an ordinary ridge period at 500 ppi
_TRIAL: Final = ((64, 64, 8), (128, 70, 24), (70, 128, 24), (128, 128, 8))  # x, y, direction
_TRIAL_ERROR_PX: Final = 4

_library: Final = ctypes.CDLL("libfprint-2.so.2")
_library.fp_image_get_data.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)]
_library.fp_image_get_data.restype = ctypes.c_void_p


def extract(pixels: NDArray[np.uint8], dpi: float) -> Template:
    """Minutiae of `pixels` (height, width), ridges dark, taken at `dpi`; in the project's frame.

    Found twice: in the image brought to one contrast, and (`second`) where nothing but its ridges
    is left. The detector errs differently in them, so that both together tell fingers apart better
    than either. Their directions are the ridges'.

    Raises AskAgain("finger-poor") where there are none, Fault("sensor-failed") for an image of an
    impossible size.
    """
    check_size(pixels.shape[1], pixels.shape[0])
    grey = normalise.at_500(pixels, dpi)
    if max(grey.shape) > MAX_SIDE_PX:  # 5 cm: no finger
        raise Fault("sensor-failed")
    first = _Detection(normalise.contrast(grey))
    plain = ridges.enhanced(grey)  # meanwhile libfprint's own thread does the first
    second = _Detection(plain)
    found = ([_minutia(one) for one in detection.found()] for detection in (first, second))
    template = Template(*(refined(minutiae, plain) for minutiae in found))
    if not template.minutiae:
        raise AskAgain("finger-poor")
    return template


def check_layout() -> None:
    """Raise Fault("sensor-failed") unless this libfprint's structures are those we read."""
    found = _Detection(_trial()).found()
    if len(found) != len(_TRIAL):
        raise Fault("sensor-failed")
    for x, y, direction in _TRIAL:
        if not any(_is_there(minutia, x, y, direction) for minutia in found):
            raise Fault("sensor-failed")


def _is_there(minutia: _Minutia, x: int, y: int, direction: int) -> bool:
    return (
        math.hypot(minutia.x - x, minutia.y - y) <= _TRIAL_ERROR_PX
        and minutia.direction == direction
        and minutia.reliability > 0.5  # it is 0.5 at most while the resolution is not known
    )


def _trial() -> NDArray[np.uint8]:
    """Level ridges with four dislocations: each is one ridge ending, and there are no others."""
    y, x = np.mgrid[0:_TRIAL_SIDE_PX, 0:_TRIAL_SIDE_PX].astype(np.float64)
    phase = 2 * np.pi * y / _TRIAL_PERIOD_PX
    for at_x, at_y, direction in _TRIAL:
        sign = 1 if direction < DIRECTIONS / 2 else -1
        phase += sign * np.arctan2(y - at_y - 0.5, x - at_x - 0.5)
    return np.asarray(128 + 100 * np.cos(phase), dtype=np.uint8)


class _Detection:
    """libfprint at work on an image at 500 pixels per inch."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        """Begin. Raises Fault("sensor-failed") if libfprint's image is not laid out as we know."""
        height, width = pixels.shape
        image = FPrint.Image.new(width, height)
        pointer = hash(image)  # PyGObject's hash of an object is its C pointer
        struct = _Image.from_address(pointer)
        if (struct.width, struct.height, struct.ppmm) != (width, height, 0.0):
            raise Fault("sensor-failed")
        struct.ppmm = PPMM
        size = ctypes.c_size_t()
        data = _library.fp_image_get_data(pointer, ctypes.byref(size))
        source = np.ascontiguousarray(pixels, dtype=np.uint8)
        if size.value != source.nbytes or image.get_ppmm() != PPMM:
            raise Fault("sensor-failed")
        ctypes.memmove(data, source.ctypes.data, source.nbytes)
        self._image: Any = image  # PyGObject has no types
        self._results: list[Any] = []
        image.detect_minutiae(None, lambda _, result: self._results.append(result))

    def found(self) -> Sequence[_Minutia]:
        """Wait for the minutiae; none where libfprint says that there are none."""
        with Waiting(DETECTION_S) as wait:
            if not wait.until(lambda: bool(self._results)):
                raise Fault("sensor-failed")
        try:
            self._image.detect_minutiae_finish(self._results[0])
        except GLib.Error:
            return []
        return [_read(minutia) for minutia in self._image.get_minutiae()]


def _read(minutia: Any) -> _Minutia:  # noqa: ANN401
    copy = _Minutia.from_buffer_copy(ctypes.string_at(hash(minutia), ctypes.sizeof(_Minutia)))
    if (
        (copy.x, copy.y) != tuple(minutia.get_coords())
        or not 0 <= copy.direction < DIRECTIONS
        or not 0 <= copy.reliability <= 1
        or copy.type not in TYPES
    ):
        raise Fault("sensor-failed")
    return copy


def _minutia(found: _Minutia) -> Minutia:
    """NBIS's direction (clockwise from up) to ISO's angle, as its lfs2m1_minutia_XYT does."""
    return Minutia(
        found.x,
        found.y,
        turned(math.pi / 2 - found.direction * 2 * math.pi / DIRECTIONS),
        TYPES[found.type],
        max(1, round(100 * found.reliability)),
    )
