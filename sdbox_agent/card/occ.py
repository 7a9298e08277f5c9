"""On-card comparison: what a card says of its fingers, and how it is asked to compare one.

The BIT group and the Discovery object's word on it (SP 800-73pt1-5 sections 3.3.2 and 3.3.3; BIT:
ISO/IEC 7816-11 and 19785-3), VERIFY with 96 or 97 (SP 800-73pt2-5 section 3.2.1), and the same with
the data object of ISO/IEC 7816-11. Knows no minutia: a probe is 3N bytes here.
"""

from __future__ import annotations

from typing import Final

from sdbox_agent.card import tlv
from sdbox_agent.card.apdu import Command
from sdbox_agent.card.verify import INS_VERIFY
from sdbox_agent.cardkind import Bit, FingerKey, VerifyForm
from sdbox_agent.errors import Bug, DecodeError

# SP 800-73pt1-5: tables 3 and 4b, section 3.3.2
OBJECT_BIT_GROUP: Final = 0x7F61
KEYS: Final[dict[FingerKey, int]] = {"96": 0x96, "97": 0x97}
POLICY_OCC: Final = 0x10  # of 5F2F's first byte: on-card comparison satisfies the access rules

# ISO/IEC 7816-11 and 19785-3
_COUNT: Final = 0x02
_BIT: Final = 0x7F60
_REFERENCE: Final = 0x83
_HEADER: Final = 0xA1
_TYPE, _SUBTYPE, _OWNER, _FORMAT = 0x81, 0x82, 0x87, 0x88
_FINGER: Final = 0x08
_JTC1_SC37: Final = b"\x01\x01"
_COMPACT: Final = b"\x00\x05"  # ISO/IEC 19794-2: finger minutiae, compact card format
_PARAMETERS: Final = 0xB1
_BOUNDS, _ORDER, _FEATURES = 0x81, 0x82, 0x83
_INS_VERIFY_DATA: Final = 0x21  # ISO/IEC 7816-4:2020 section 11.6.6: the data are data objects
_BIOMETRIC_DATA: Final = 0x7F2E
_MINUTIAE: Final = 0x81

# ISO/IEC 19785-3 subtypes (right: bit 1, left: bit 2, then the finger) and the positions of ISO/IEC
# 19794-2:2005 table 2: right thumb to little finger 1 to 5, left 6 to 10.
_POSITIONS: Final = {0x00: 0} | {
    finger << 2 | side: finger + 5 * (side - 1) for side in (1, 2) for finger in range(1, 6)
}
_SUBTYPES: Final = {position: subtype for subtype, position in _POSITIONS.items()}
MAX_FINGERS: Final = 2
MINUTIA_BYTES: Final = 3


def decode_bits(data: bytes) -> tuple[Bit, ...]:
    """The fingers of a BIT group (7F61), in the card's order; none where it says so.

    Raises DecodeError, also for a finger twice, another format than the compact card format, or
    another count than there are.
    """
    items = tlv.parse(tlv.one(data, OBJECT_BIT_GROUP))
    if not items or items[0].tag != _COUNT or len(items[0].value) != 1:
        raise DecodeError("BIT group without its count")
    count, templates = items[0].value[0], items[1:]
    if len(templates) != count or count > MAX_FINGERS:
        raise DecodeError("count of the BIT group")
    if any(item.tag != _BIT for item in templates):
        raise DecodeError("BIT group")
    bits = tuple(_bit(item.value) for item in templates)
    if len({bit.key for bit in bits}) != count:
        raise DecodeError("finger twice")
    return bits


def _bit(data: bytes) -> Bit:
    reference, header = tlv.sequence(data, _REFERENCE, _HEADER)
    found = tlv.fields(header, {_TYPE, _SUBTYPE, _OWNER, _FORMAT, _PARAMETERS}, set())
    if (found[_TYPE], found[_OWNER], found[_FORMAT]) != (b"\x08", _JTC1_SC37, _COMPACT):
        raise DecodeError("not a finger in the compact card format")
    parameters = tlv.fields(found[_PARAMETERS], {_BOUNDS, _ORDER}, {_FEATURES})
    if parameters.get(_FEATURES, b"\x00") != b"\x00":
        raise DecodeError("features we do not make")
    bounds, order, subtype = parameters[_BOUNDS], parameters[_ORDER], found[_SUBTYPE]
    if (len(bounds), len(order), len(subtype)) != (2, 1, 1) or subtype[0] not in _POSITIONS:
        raise DecodeError("BIT field")
    if not 1 <= bounds[0] <= bounds[1]:
        raise DecodeError("BIT bounds")
    key = next((key for key, number in KEYS.items() if reference == bytes([number])), None)
    if key is None:
        raise DecodeError("BIT reference")
    position = _POSITIONS[subtype[0]]
    return Bit(key=key, position=position, minimum=bounds[0], maximum=bounds[1], order=order[0])


def encode_bits(bits: tuple[Bit, ...]) -> bytes:
    """The one BIT group that says this."""
    content = tlv.encode(_COUNT, bytes([len(bits)]))
    for bit in bits:
        parameters = tlv.encode(_BOUNDS, bytes([bit.minimum, bit.maximum]))
        parameters += tlv.encode(_ORDER, bytes([bit.order]))
        header = tlv.encode(_TYPE, bytes([_FINGER]))
        header += tlv.encode(_SUBTYPE, bytes([_SUBTYPES[bit.position]]))
        header += tlv.encode(_OWNER, _JTC1_SC37) + tlv.encode(_FORMAT, _COMPACT)
        header += tlv.encode(_PARAMETERS, parameters)
        reference = tlv.encode(_REFERENCE, bytes([KEYS[bit.key]]))
        content += tlv.encode(_BIT, reference + tlv.encode(_HEADER, header))
    return tlv.encode(OBJECT_BIT_GROUP, content)


def compare(bit: Bit, minutiae: bytes, form: VerifyForm) -> Command:
    """VERIFY a probe against the finger of `bit`. Raises Bug for one that its BIT forbids.

    A card would answer it by 6A80 and leave its counter alone; but who sends it breaks our rules.
    """
    count, rest = divmod(len(minutiae), MINUTIA_BYTES)
    if rest or not bit.minimum <= count <= bit.maximum:
        raise Bug("worker-protocol")
    key = KEYS[bit.key]
    if form == "raw":
        return Command(INS_VERIFY, 0x00, key, minutiae, expects=False)
    data = tlv.encode(_BIOMETRIC_DATA, tlv.encode(_MINUTIAE, minutiae))
    return Command(_INS_VERIFY_DATA, 0x00, key, data, expects=False)
