"""Minutiae of the compact card format: read and written again, or refused by DecodeError."""

import contextlib
import dataclasses

from sdbox_agent.biometrics import compact_2005 as compact
from sdbox_agent.errors import DecodeError

PARSERS = (compact,)
SEEDS: list[bytes] = [
    bytes.fromhex("0a1440ffffbf"),
    bytes(3 * 60),
    *(b"", bytes(2), bytes(3 * (compact.MAX_MINUTIAE + 1)), b"\x01\x01\xff"),
]
BEYOND = ({"x": -1}, {"y": compact.MAX_COORDINATE + 1}, {"angle": compact.ANGLE_UNITS})


def target(data: bytes) -> None:
    """A list is refused by DecodeError, or kept byte for byte."""
    try:
        found = compact.decode(data)
    except DecodeError:
        return
    if compact.encode(found) != data:
        raise AssertionError("minutiae changed on their way")
    for wrong in ([], *([dataclasses.replace(found[0], **change)] for change in BEYOND)):
        with contextlib.suppress(DecodeError):
            compact.encode(wrong)
            raise AssertionError("written, and could not be read")
