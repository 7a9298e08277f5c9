"""The example that the standards print, as field values, and records built of it field by field.

One example of two fingers stands in INCITS 378-2004 (annex B), ISO/IEC 19794-2:2005 (annex C) and
:2011, each time in that standard's layout. It is made up: its second finger's angles only grow. The
builders pack the tables' fields one after another and know nothing of the codecs.
"""

import struct

E, B, O = 1, 2, 0  # noqa: E741  ending, bifurcation, other
LEFT_INDEX, RIGHT_INDEX = 7, 2
LEFT_QUALITY, RIGHT_QUALITY = 90, 70
SIDE, PPCM, DEVICE = 512, 197, 0xB5
VENDOR_BLOCK = 0x0221, bytes.fromhex("0144bc362143")

# type, x, y, angle, quality
LEFT = (
    (E, 100, 14, 80, 90), (E, 164, 17, 60, 80), (B, 55, 18, 16, 90), (B, 74, 22, 54, 60),
    (E, 112, 22, 64, 80), (B, 42, 31, 31, 90), (B, 147, 35, 36, 90), (E, 88, 38, 117, 40),
    (B, 43, 42, 3, 80), (E, 56, 48, 23, 70), (E, 132, 49, 51, 90), (B, 71, 50, 47, 80),
    (O, 95, 51, 58, 90), (E, 112, 53, 94, 50), (B, 135, 58, 23, 80), (O, 41, 60, 42, 70),
    (B, 67, 62, 103, 90), (E, 91, 63, 94, 80), (E, 112, 65, 23, 60), (E, 53, 71, 32, 90),
    (B, 104, 74, 9, 80), (E, 75, 79, 15, 90), (B, 48, 80, 65, 90), (E, 130, 89, 32, 80),
    (B, 63, 95, 90, 80), (E, 47, 108, 117, 90), (B, 126, 115, 122, 30),
)  # fmt: skip
RIGHT = (
    (E, 40, 93, 0, 90), (B, 116, 100, 0, 80), (E, 82, 95, 9, 70), (B, 140, 113, 11, 70),
    (E, 122, 135, 13, 80), (B, 55, 72, 15, 50), (E, 94, 74, 17, 60), (E, 155, 62, 30, 80),
    (B, 42, 64, 39, 70), (E, 155, 85, 42, 80), (B, 96, 192, 44, 80), (E, 114, 86, 60, 80),
    (B, 142, 90, 64, 70), (E, 57, 137, 71, 90), (E, 131, 75, 78, 80), (E, 45, 113, 85, 80),
    (B, 111, 171, 92, 50), (E, 95, 62, 107, 60), (B, 61, 114, 142, 80), (B, 143, 72, 178, 80),
    (E, 63, 104, 213, 70), (B, 125, 73, 249, 40),
)  # fmt: skip


def minutiae(values, size=6) -> bytes:
    """Minutiae of five or six bytes."""
    form = {5: ">HHB", 6: ">HHBB"}[size]
    fields = size - 2
    return b"".join(
        struct.pack(form, *(kind << 14 | x, y, angle, quality)[:fields])
        for kind, x, y, angle, quality in values
    )


def extended(kind: int, data: bytes, counted: int) -> bytes:
    """An area of one block, whose length counts so much of its head."""
    block = struct.pack(">HH", kind, len(data) + counted) + data
    return struct.pack(">H", len(block)) + block


def view(position, quality, values, area=b"\0\0", packed=0) -> bytes:
    """A view of 2004 and 2005."""
    return struct.pack(">BBBB", position, packed, quality, len(values)) + minutiae(values) + area


def of_2005(*views: bytes) -> bytes:
    """A record of ISO/IEC 19794-2:2005."""
    size = 24 + sum(map(len, views))
    return (
        b"FMR\0 20\0"
        + struct.pack(">IHHHHHBB", size, DEVICE, SIDE, SIDE, PPCM, PPCM, len(views), 0)
        + b"".join(views)
    )


def of_2004(*views: bytes, owner=0x42, product=0x11) -> bytes:
    """A record of INCITS 378-2004, its length in two bytes where it fits."""
    size = 26 + sum(map(len, views))
    length = struct.pack(">H", size) if size <= 65535 else struct.pack(">HI", 0, size + 4)
    rest = (owner, product, DEVICE, SIDE, SIDE, PPCM, PPCM, len(views), 0)
    return b"FMR\0 20\0" + length + struct.pack(">HHHHHHHBB", *rest) + b"".join(views)


def representation(
    position,
    values,
    *,
    number=0,
    qualities=(),
    certifications=None,
    captured=(2005, 12, 15, 17, 35, 20, 0),
    area=b"\0\0",
    size=6,
) -> bytes:
    """A representation of 2011. `certifications`: None where the record has no room for them."""
    body = struct.pack(">HBBBBBH", *captured) + struct.pack(">BHH", 0, 0xABCD, DEVICE)
    body += bytes([len(qualities)]) + b"".join(struct.pack(">BHH", *q) for q in qualities)
    if certifications is not None:
        body += bytes([len(certifications)])
        body += b"".join(struct.pack(">HB", *c) for c in certifications)
    body += struct.pack(">BBHHBHH", position, number, PPCM, PPCM, 0, SIDE, SIDE)
    body += bytes([size << 4, len(values)]) + minutiae(values, size) + area
    return struct.pack(">I", 4 + len(body)) + body


def of_2011(*representations: bytes, certified=0) -> bytes:
    """A record of ISO/IEC 19794-2:2011."""
    size = 15 + sum(map(len, representations))
    head = struct.pack(">IHB", size, len(representations), certified)
    return b"FMR\x00030\0" + head + b"".join(representations)


def printed_2005() -> bytes:
    """Annex C.2 of ISO/IEC 19794-2:2005: 340 bytes."""
    return of_2005(
        view(LEFT_INDEX, LEFT_QUALITY, LEFT),
        view(RIGHT_INDEX, RIGHT_QUALITY, RIGHT, extended(*VENDOR_BLOCK, 0)),
    )


def printed_2004() -> bytes:
    """Annex B.2 of INCITS 378-2004: 342 bytes, and angles that the same standard does not allow."""
    area = extended(1, VENDOR_BLOCK[1], 4)  # one ridge count, and two bytes that are none
    return of_2004(
        view(LEFT_INDEX, LEFT_QUALITY, LEFT), view(RIGHT_INDEX, RIGHT_QUALITY, RIGHT, area)
    )


def printed_2011(number: int = 1) -> bytes:
    """The example of ISO/IEC 19794-2:2011: 397 bytes, and its second finger's first view is 1."""
    left = representation(LEFT_INDEX, LEFT, qualities=[(LEFT_QUALITY, 0xABCD, 0x0123)])
    right = representation(
        RIGHT_INDEX,
        RIGHT,
        number=number,
        qualities=[(RIGHT_QUALITY, 0xABCD, 0x0123)],
        area=extended(*VENDOR_BLOCK, 4),
    )
    return of_2011(left, right)
