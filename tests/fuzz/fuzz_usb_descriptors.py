"""A USB device's descriptors: the kinds of its interfaces, or DecodeError."""

import contextlib
import struct

from sdbox_agent.errors import DecodeError
from sdbox_agent.profile import usbdescriptors

PARSERS = (usbdescriptors,)
# USB 2.0, tables 9-8 and 9-13.
DEVICE = struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0, 0, 0, 8, 0x046D, 0xC31C, 1, 1, 2, 0, 1)
ENDPOINT = struct.pack("<BBBBHB", 7, 5, 0x81, 3, 8, 10)
_HID = bytes.fromhex("092110010001223f00")  # HID 1.11, section 6.2.1


def interface(kind: bytes) -> bytes:
    """Table 9-12, of that class, subclass and protocol."""
    return bytes([9, 4, 0, 0, 1]) + kind + b"\0"


def configuration(*inside: bytes) -> bytes:
    """Table 9-10, and what it holds."""
    body = b"".join(inside)
    return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), 1, 1, 0, 0xA0, 50) + body


KEYBOARD = DEVICE + configuration(
    *(interface(bytes([3, n, n])) + _HID + ENDPOINT for n in (1, 0)),
)
SEEDS = (
    KEYBOARD,
    DEVICE,
    b"",
    DEVICE + configuration(interface(b"\x08\x06\x50"), b"\x02\xff" + bytes(20)),
    KEYBOARD + b"\xff\x04",
)


def target(data: bytes) -> None:
    """Each kind is six digits, and there once."""
    with contextlib.suppress(DecodeError):
        found = usbdescriptors.interfaces(data)
        assert len(set(found)) == len(found) <= usbdescriptors.MAX_KINDS
        assert all(len(bytes.fromhex(each)) == 3 for each in found)
