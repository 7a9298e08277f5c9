"""What libfprint sees in an image: the third party that judges the virtual fingers.

Detection runs in a child process, for libfprint's detector reads past the end of very small
images and dies. Shares no code with the agent's own use of libfprint.
"""

import struct
import subprocess  # the child is ours, fixed arguments
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from hil.finger.impression import Impression

DIRECTION_STEP_DEG = 11.25  # NBIS (lfs.h): 32 directions, 0 is up, clockwise
MIN_SIDE_PX = 32  # libfprint 1.94 dies on 10 x 10; no finger is that small
FOUND_WITHIN_PX = 15.0
FOUND_WITHIN_DEG = 20.0
BORDER_PX = 12
# The child's words (hil.finger.libfprint_child), which this process does not load.
_SIZE = struct.Struct("=ii")
_COUNT = struct.Struct("=i")
_MINUTIA = struct.Struct("=iiid")

Minutiae = NDArray[np.float64]


class Judge:
    """A child process with libfprint in it; a context manager."""

    def __enter__(self) -> Self:
        """Start the child."""
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hil.finger.libfprint_child"],
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
        try:
            self._child.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()

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
        try:
            to.write(_SIZE.pack(width, height) + np.ascontiguousarray(pixels).tobytes())
            to.flush()
        except BrokenPipeError as error:
            raise ChildProcessError("libfprint died") from error
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
        near = np.where(
            free & (distance <= FOUND_WITHIN_PX) & (turn <= np.deg2rad(FOUND_WITHIN_DEG)),
            distance,
            np.inf,
        )
        if near.size and np.isfinite(near.min()):
            free[near.argmin()] = False
            found += 1
    return found / max(int(due.sum()), 1)


def _well_inside(b: Impression, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    height, width = b.contact.shape
    inside = np.ones(len(places), bool)
    for dx, dy in ((0, 0), (BORDER_PX, 0), (-BORDER_PX, 0), (0, BORDER_PX), (0, -BORDER_PX)):
        x = np.rint(places[:, 0] + dx).astype(int)
        y = np.rint(places[:, 1] + dy).astype(int)
        ok = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside &= ok & b.contact[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return inside
