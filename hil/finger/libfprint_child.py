"""The child of `hil.finger.judge`: libfprint's own detector, and nothing else.

`python -m hil.finger.libfprint_child`: images in on stdin, minutiae out on stdout, until the
input ends. An image is two int32 (width, height) and its pixels; an answer is an int32 count and
for each minutia two int32 (x, y), an int32 direction, a double reliability; host order, packed.
"""

import ctypes
import signal
import struct
import sys
from typing import Any

import gi

gi.require_version("FPrint", "2.0")
from gi.repository import FPrint, GLib  # noqa: E402 - the version comes first

PIXELS_PER_MM = 19.685  # 500 dpi; libfprint's reliability needs it, its drivers never set it
DETECTION_LIMIT_S = 30  # dies rather than hang
SIZE = struct.Struct("=ii")
COUNT = struct.Struct("=i")
MINUTIA = struct.Struct("=iiid")

# libfprint 1.94, struct fp_minutia (nbis/include/lfs.h): x, y, ex, ey, direction, reliability.
_DIRECTION_OFFSET, _RELIABILITY_OFFSET = 16, 24
# libfprint 1.94, struct _FpImage: GObject (24 bytes), guint width, guint height, gdouble ppmm.
_WIDTH_OFFSET, _PPMM_OFFSET = 24, 32


def main() -> None:
    """Frames in, minutiae out, until the input ends."""
    loop = GLib.MainLoop()
    source, out = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(SIZE.size)) == SIZE.size:
        width, height = SIZE.unpack(head)
        image = FPrint.Image.new(width, height)
        _fill(image, source.read(width * height), (width, height))
        image.detect_minutiae(None, lambda *_: loop.quit())
        signal.alarm(DETECTION_LIMIT_S)
        loop.run()
        signal.alarm(0)
        found = image.get_minutiae() or []
        out.write(COUNT.pack(len(found)) + b"".join(map(_pack, found)))
        out.flush()


def _fill(image: Any, pixels: bytes, size: tuple[int, int]) -> None:  # noqa: ANN401 - no stubs
    """Put pixels and resolution into an FpImage; PyGObject offers no setter for either."""
    pointer = hash(image)  # PyGObject: the C pointer
    if tuple((ctypes.c_uint * 2).from_address(pointer + _WIDTH_OFFSET)) != size:
        raise RuntimeError("this libfprint lays out FpImage otherwise")
    ctypes.c_double.from_address(pointer + _PPMM_OFFSET).value = PIXELS_PER_MM
    library = ctypes.CDLL("libfprint-2.so.2")
    library.fp_image_get_data.restype = ctypes.c_void_p
    library.fp_image_get_data.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    ctypes.memmove(library.fp_image_get_data(pointer, None), pixels, len(pixels))


def _pack(minutia: Any) -> bytes:  # noqa: ANN401 - no stubs
    pointer = hash(minutia)
    x, y = minutia.get_coords()
    if tuple((ctypes.c_int * 2).from_address(pointer)) != (x, y):
        raise RuntimeError("this libfprint lays out fp_minutia otherwise")
    direction = ctypes.c_int.from_address(pointer + _DIRECTION_OFFSET).value
    reliability = ctypes.c_double.from_address(pointer + _RELIABILITY_OFFSET).value
    return MINUTIA.pack(x, y, direction, reliability)


if __name__ == "__main__":
    main()
