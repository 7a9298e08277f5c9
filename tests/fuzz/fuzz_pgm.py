"""Portable grey maps: an image of the size they say, or DecodeError."""

from sdbox_agent.errors import DecodeError
from sdbox_agent.fingertool import pgm

PARSERS = (pgm,)
SEEDS: list[bytes] = [
    b"P5 3 2 255\n" + bytes(range(6)),
    b"P5\n# a remark\n3\t2 # another\n255 " + bytes(6),
    b"P5 3 2 65535\n" + bytes(12),
    b"P5 0 2 255\n",
    b"P5 3 2 255\n" + bytes(5),
    b"P2 1 1 255\n0",
]


def target(data: bytes) -> None:
    """Written again it is the same image."""
    try:
        pixels = pgm.decode(data)
    except DecodeError:
        return
    again = pgm.encode(pixels)
    if pgm.decode(again).tobytes() != pixels.tobytes():
        raise AssertionError("pixels changed on their way")
    if not data.endswith(pixels.tobytes()):
        raise AssertionError("pixels that were not there")
