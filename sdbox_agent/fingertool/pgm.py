"""Portable grey maps (Netpbm, pgm(5)): the binary form, one image, 8 bits. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# -- pgm(5) --------------------------------------------------------------------------------------

MAGIC: Final = b"P5"
_SPACE: Final = rb"(?:[ \t\n\v\f\r]|#[^\n\r]*[\n\r])+"  # a comment runs to the end of its line
_NUMBER: Final = rb"([0-9]{1,9})"
_HEADER: Final = re.compile(
    MAGIC + _SPACE + _NUMBER + _SPACE + _NUMBER + _SPACE + _NUMBER + rb"[ \t\n\v\f\r]"
)

# -- ours ----------------------------------------------------------------------------------------

WHITE: Final = 255  # the only depth fingers come in
MAX_HEADER_BYTES: Final = 4096
MAX_PIXELS: Final = 1 << 24


def decode(data: bytes) -> NDArray[np.uint8]:
    """The image, uint8 (height, width). Raises DecodeError."""
    header = _HEADER.match(data[:MAX_HEADER_BYTES])
    if header is None:
        raise DecodeError("not a binary grey map")
    width, height, white = map(int, header.groups())
    if white != WHITE:
        raise DecodeError("not of 8 bits a pixel")
    if not 0 < width * height <= MAX_PIXELS:
        raise DecodeError("size out of range")
    pixels = data[header.end() :]
    if len(pixels) != width * height:
        raise DecodeError("not as many pixels as its size says")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(height, width)


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """The image as `decode` takes it; `pixels` is uint8 (height, width)."""
    height, width = pixels.shape
    return b"%s %d %d %d\n" % (MAGIC, width, height, WHITE) + pixels.tobytes()
