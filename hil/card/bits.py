"""The Biometric Information Templates: which fingers a card compares, and what probes it takes.

The BIT group of SP 800-73-5 part 1, 3.3.2 and SP 800-76-2 table 7, in ISO/IEC 19785-3's patron
format for smart cards (ISO/IEC 7816-11:2004). Knows no finger and no command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hil.card.matcher import MAX_MINUTIAE
from hil.card.tlv import TlvError, decode, decode_one, encode

# ISO/IEC 7816-11, 19785-3: tags.
BIT: Final = 0x7F60
COUNT: Final = 0x02
KEY_REFERENCE: Final = 0x83
HEADER: Final = 0xA1
PARAMETERS: Final = 0xB1
LIMITS: Final = 0x81
ORDER: Final = 0x82
# ISO/IEC 19785-3: biometric type "finger" in its header, and ISO/IEC 19794-2 in compact card form.
_FINGER: Final = encode(0x81, b"\x08")
_FORMAT: Final = encode(0x87, b"\x01\x01") + encode(0x88, b"\x00\x05")
# ISO/IEC 19794-2:2005, table 2 (1 right thumb .. 10 left little), as ISO/IEC 19785-3 subtypes.
SUBTYPES: Final = {
    1: 0x05,
    2: 0x09,
    3: 0x0D,
    4: 0x11,
    5: 0x15,
    6: 0x06,
    7: 0x0A,
    8: 0x0E,
    9: 0x12,
    10: 0x16,
}
MINUTIA_BYTES: Final = 3
_GROUP_MAX: Final = 2

# Ours: what this card asks for. 60 minutiae are 180 bytes: one short APDU in either form.
MINIMUM: Final = 12
MAXIMUM: Final = 60
ASCENDING_Y_X: Final = 0x09


@dataclass(frozen=True, slots=True)
class Bit:
    """One template: `key` is its key reference (96 or 97), the limits count minutiae."""

    key: int
    minimum: int
    maximum: int

    def takes(self, probe: bytes) -> bool:
        """Whether the bytes are of minutiae, and as many as are wanted."""
        count, rest = divmod(len(probe), MINUTIA_BYTES)
        return rest == 0 and self.minimum <= count <= self.maximum


def group(positions: dict[int, int]) -> bytes:
    """The content of the BIT group for fingers by key reference, position as in 19794-2.

    Raises:
        ValueError: a position that is no finger.
    """
    templates = b""
    for key, position in positions.items():
        if position not in SUBTYPES:
            raise ValueError("a finger is 1 to 10")
        limits = encode(LIMITS, bytes([MINIMUM, MAXIMUM])) + encode(ORDER, bytes([ASCENDING_Y_X]))
        header = _FINGER + encode(0x82, bytes([SUBTYPES[position]])) + _FORMAT
        header += encode(PARAMETERS, limits)
        reference = encode(KEY_REFERENCE, bytes([key]))
        templates += encode(BIT, reference + encode(HEADER, header))
    return encode(COUNT, bytes([len(positions)])) + templates


def parse(content: bytes) -> dict[int, Bit]:
    """The templates in a group's content, by key reference.

    Raises:
        TlvError: not a group as part 1, 3.3.2 has it.
    """
    (tag, count), *templates = decode(content) or [(0, b"")]
    if tag != COUNT or count != bytes([len(templates)]) or len(templates) > _GROUP_MAX:
        raise TlvError("not a BIT group")
    found = {}
    for tag, value in templates:
        bit = _bit(dict(decode(value))) if tag == BIT else None
        if bit is None or bit.key in found:
            raise TlvError("not a BIT, or one key twice")
        found[bit.key] = bit
    return found


def _bit(fields: dict[int, bytes]) -> Bit | None:
    header = dict(decode(fields.get(HEADER, b"")))
    limits = dict(decode(header.get(PARAMETERS, b""))).get(LIMITS, b"")
    reference = fields.get(KEY_REFERENCE, b"")
    if len(limits) != 2 or len(reference) != 1:
        return None
    if not 1 <= limits[0] <= limits[1] <= MAX_MINUTIAE:  # what this card can compare
        return None
    return Bit(reference[0], limits[0], limits[1])


def probe_of(data: bytes) -> bytes:
    """The minutiae in a verification data object: 7F2E {81} (ISO/IEC 7816-11, 19785-3).

    Raises:
        TlvError: it is not one.
    """
    return decode_one(0x81, decode_one(0x7F2E, data))
