"""Extended data of a view: ours in its one form, somebody else's untouched, or DecodeError."""

import contextlib
import struct

from sdbox_agent.biometrics import extension, fmr
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.errors import DecodeError

PARSERS = (extension, fmr.block)
TOKENS = [b"sdb\x01", b"\x53\x01"]
ONE = bytes.fromhex("406400c84063")


def _ours(kind: int, data: bytes) -> bytes:
    return struct.pack(">HH", kind, len(data) + 4) + b"sdb\x01" + data


SECOND = _ours(0x5301, ONE)
SEEDS: list[bytes] = [
    SECOND,
    b"\x53\x01\0\1x" + SECOND + _ours(0x5302, ONE),
    SECOND + SECOND,
    b"\x01\x01\0\0",
    *(_ours(0x5301, data) for data in (b"", ONE[:5], ONE * 256, b"\xc0" + ONE)),
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
        if kind == extension.SECOND_TYPE and inside.startswith(extension.MARK)
    )
    if extension.encode(found, iso.RULES) != marked:
        raise AssertionError("changed on its way")
    with contextlib.suppress(DecodeError):
        extension.encode(found + fmr.decode_minutiae(ONE * 256), iso.RULES)
        raise AssertionError("written, and could not be read")
    with contextlib.suppress(DecodeError):
        fmr.block(extension.SECOND_TYPE, data + bytes(1 << 16), iso.RULES)
        raise AssertionError("written, and has no room")
