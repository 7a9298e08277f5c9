"""What libfprint sees in an image: the third party that judges the virtual fingers.

Detection runs in a child process, for libfprint's detector reads past the end of very small
images and dies. Shares no code with the agent's own use of libfprint.

`python -m hil.finger.judge` is the child: frames in on stdin, minutiae out on stdout.
`python -m hil.finger.judge FINGERS [QUALITY]` prints a survey of that many seeds.
"""

import ctypes
import struct
import subprocess  # the child is ours, fixed arguments
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from hil.finger import cache
from hil.finger.impression import Impression, impression

PIXELS_PER_MM = 19.685  # 500 dpi
DIRECTION_STEP_DEG = 11.25  # NBIS (lfs.h): 32 directions, 0 is up, clockwise
MIN_SIDE_PX = 32  # libfprint 1.94 dies on 10 x 10; no finger is that small
_SIZE = struct.Struct("=ii")
_COUNT = struct.Struct("=i")
_MINUTIA = struct.Struct("=iiid")

# struct fp_minutia of libfprint 1.94 (nbis/include/lfs.h): what is read of it.
_DIRECTION_OFFSET, _RELIABILITY_OFFSET = 16, 24
# struct _FpImage: GObject (24 bytes), guint width, guint height, gdouble ppmm.
_WIDTH_OFFSET, _PPMM_OFFSET = 24, 32

Minutiae = NDArray[np.float64]


class Judge:
    """A child process with libfprint in it; a context manager."""

    def __enter__(self) -> Self:
        """Start the child."""
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hil.finger.judge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child: it leaves at the end of its input."""
        self._child.communicate(timeout=10)

    def minutiae(self, pixels: NDArray[np.uint8]) -> Minutiae:
        """Minutiae of an image at 500 dpi.

        Returns:
            float64 (n, 4): x, y (pixels, y downwards), angle (radians, counter-clockwise as
            seen, 0 to the right), reliability (0 to 1).

        Raises:
            ValueError: a side is under 32 pixels.
            ChildProcessError: libfprint died.
        """
        height, width = pixels.shape
        if min(height, width) < MIN_SIDE_PX:
            raise ValueError("too small for libfprint")
        to, back = self._child.stdin, self._child.stdout
        if to is None or back is None:
            raise ChildProcessError("the judge has no pipes")
        to.write(_SIZE.pack(width, height) + np.ascontiguousarray(pixels).tobytes())
        to.flush()
        (count,) = _COUNT.unpack(_read(back, _COUNT.size))
        rows = [_MINUTIA.unpack(_read(back, _MINUTIA.size)) for _ in range(count)]
        table = np.asarray(rows, np.float64).reshape(count, 4)
        table[:, 2] = np.deg2rad(90 - table[:, 2] * DIRECTION_STEP_DEG)
        return table


def _read(source: IO[bytes], size_bytes: int) -> bytes:
    data = source.read(size_bytes)
    if len(data) != size_bytes:
        raise ChildProcessError("libfprint died or said nothing")
    return data


def repeated_share(a: Impression, b: Impression, in_a: Minutiae, in_b: Minutiae) -> float:
    """Of the minutiae of `a` that must show in `b`, the share found there.

    Found: one of `in_b` within 15 px and 20 degrees of the place and angle the ground truth
    gives, each used once. Must show: the place lies in `b`'s contact, 12 px from its border.
    """
    there = b.pose.from_master(a.pose.to_master(in_a[:, :2]))
    angle = in_a[:, 2] - a.pose.turn_at(in_a[:, :2]) + b.pose.turn_at(there)
    due = _well_inside(b, there)
    free = np.ones(len(in_b), bool)
    found = 0
    for place, direction in zip(there[due], angle[due], strict=True):
        distance = np.hypot(*(in_b[:, :2] - place).T)
        turn = np.abs((in_b[:, 2] - direction + np.pi) % (2 * np.pi) - np.pi)
        near = np.where(free & (distance <= 15) & (turn <= np.deg2rad(20)), distance, np.inf)
        if near.size and np.isfinite(near.min()):
            free[near.argmin()] = False
            found += 1
    return found / max(int(due.sum()), 1)


def _well_inside(b: Impression, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    height, width = b.contact.shape
    inside = np.ones(len(places), bool)
    for dx, dy in ((0, 0), (12, 0), (-12, 0), (0, 12), (0, -12)):
        x = np.rint(places[:, 0] + dx).astype(int)
        y = np.rint(places[:, 1] + dy).astype(int)
        ok = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside &= ok & b.contact[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return inside


def survey(fingers: int, quality: str = "ordinary", first_seed: int = 0) -> None:
    """Print minutiae counts, and how many come again in a second touch and in another finger."""
    counts, same, other = [], [], []
    with Judge() as judge:
        previous: tuple[Impression, Minutiae] | None = None
        for seed in range(first_seed, first_seed + fingers):
            master = cache.master(seed)
            touches = [impression(master, k, quality=quality) for k in (1, 2)]
            found = [judge.minutiae(t.pixels) for t in touches]
            counts += [len(f) for f in found]
            same.append(repeated_share(touches[0], touches[1], found[0], found[1]))
            if previous is not None:
                other.append(repeated_share(previous[0], touches[0], previous[1], found[0]))
            previous = (touches[0], found[0])
    within = float(np.mean([25 <= c <= 70 for c in counts]))
    print(f"{quality}: {fingers} fingers x 2 impressions, minutiae by libfprint")
    for name, values in (("minutiae", counts), ("same finger", same), ("other finger", other)):
        quantiles = np.quantile(values, (0, 0.05, 0.5, 0.95, 1))
        print(f"  {name:13s} min/5%/50%/95%/max", " ".join(f"{q:.2f}" for q in quantiles))
    print(f"  within 25-70: {within:.0%}")


def _child() -> None:
    """Frames in, minutiae out, until the input ends."""
    import gi

    gi.require_version("FPrint", "2.0")
    from gi.repository import FPrint, GLib

    loop = GLib.MainLoop()
    source, out = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(_SIZE.size)) == _SIZE.size:
        width, height = _SIZE.unpack(head)
        image = FPrint.Image.new(width, height)
        _fill(image, source.read(width * height), (width, height))
        image.detect_minutiae(None, lambda *_: loop.quit())
        loop.run()
        found = image.get_minutiae() or []
        out.write(_COUNT.pack(len(found)) + b"".join(map(_pack, found)))
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
    return _MINUTIA.pack(x, y, direction, reliability)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        survey(int(sys.argv[1]), *sys.argv[2:3])
    else:
        _child()
