"""Extended data of a view: ours in its one form, somebody else's untouched, or DecodeError."""

import contextlib
import struct

import numpy as np

from sdbox_agent.biometrics import extension, fmr
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics.extension import Extension
from sdbox_agent.biometrics.minutia import Flow
from sdbox_agent.errors import DecodeError

PARSERS = (extension, fmr.block)
TOKENS = [b"sdb\x01", b"\x53\x01", b"\x53\x02"]
ONE = bytes.fromhex("406400c84063")


def _ours(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data) + 4) + b"sdb\x01" + data


SECOND = _ours(0x5301, ONE)
FLOW = _ours(0x5302, b"\x01\x02\x50\x00\xff\x00")
SEEDS: list[bytes] = [
    SECOND + FLOW,
    SECOND + b"\x53\x01\0\1x" + FLOW,
    FLOW + SECOND,
    b"\x01\x01\0\0",
    *(_ours(0x5301, data) for data in (b"", ONE[:5], ONE * 256, b"\xc0" + ONE)),
    *(_ours(0x5302, data) for data in (b"", bytes(2), b"\1\1\0", b"\1\1\1\0", b"\1\1\0\0")),
    b"\0\0\0\0",
    b"\x53",
    SECOND[:-1],
    bytes(1 << 16),
]


def target(data: bytes) -> None:
    """What is ours is written again as it was."""
    try:
        found = extension.decode(data, iso.RULES)
    except DecodeError:
        return
    marked = b"".join(
        fmr.block(kind, inside, iso.RULES)
        for kind, inside in fmr.blocks(data, iso.RULES)
        if kind in (extension.SECOND_TYPE, extension.FLOW_TYPE)
        and inside.startswith(extension.MARK)
    )
    if extension.encode(found, iso.RULES) != marked:
        raise AssertionError("changed on its way")
    assert repr(found) == f"<Extension of {len(found.second)}>"
    for side in (0, 255, 256):
        large = Flow(np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8))
        with contextlib.suppress(DecodeError):
            extension.encode(Extension(found.second, large), iso.RULES)
            raise AssertionError("written, and has no room")
    with contextlib.suppress(DecodeError):
        extension.encode(Extension(found.second * 256 + fmr.decode_minutiae(ONE * 256)), iso.RULES)
        raise AssertionError("written, and could not be read")
