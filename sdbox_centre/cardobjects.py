"""The public data objects that personalisation writes on a card, byte for byte.

NIST SP 800-73pt1-5 ("pt1"). Everything follows from what was ordered, so that a card that was torn
away can be compared with what it should hold. Left out, since nothing here reads them: printed
information, the off-card fingerprints, the facial image, the key history, the security object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdbox_agent.card import occ, piv, tlv

if TYPE_CHECKING:
    import datetime as dt

    from sdbox_agent.cardkind import Bit

# pt1 table 3: data objects
CAPABILITIES: Final = 0x5FC107
# pt2 section 3.1.2: these two stand bare, all others inside a 53
BARE: Final = frozenset({piv.OBJECT_DISCOVERY, occ.OBJECT_BIT_GROUP})
_DATA: Final = 0x53
_EDC: Final = tlv.encode(0xFE, b"")

# pt1 section 3.3.2: PIN usage policy; 10 beside 40: on-card comparison opens too
_POLICY_PIN: Final = b"\x40\x00"
_POLICY_PIN_OR_MATCH: Final = b"\x50\x00"

# pt1 section 3.1.2, of an issuer that is no federal agency: agency 9999, system 9999, credential
# 999999, series 0, issue 1, person 0000000000, category 3, organisation 0000, association 1; each
# digit in five bits with its parity (TIG SCEPACS 2.3 section 2.1).
_FASC_N: Final = bytes.fromhex("D4E739DA739CED39CE739D836858210842108421C84210C3EB")
# pt1 section 3.1.1: GSC-RID, no registered maker (FF), card type 02 (a Java Card); then 14 bytes
_CARD_IDENTIFIER: Final = bytes.fromhex("A000000116FF02")


def wrapped(tag: int, content: bytes) -> bytes:
    """An object as PUT DATA and GET DATA carry it."""
    return tlv.encode(tag if tag in BARE else _DATA, content)


def chuid(guid: bytes, expires: dt.date) -> bytes:
    """Card holder unique identifier (pt1 section 3.1.2), without its issuer's signature.

    The certificates bind the GUID to the card, so nothing rests on that signature.
    """
    return (
        tlv.encode(0x30, _FASC_N)
        + tlv.encode(0x34, guid)
        + tlv.encode(0x35, expires.strftime("%Y%m%d").encode())
        + tlv.encode(0x3E, b"")
        + _EDC
    )


def capabilities(guid: bytes) -> bytes:
    """Card capability container (pt1 section 3.1.1): data model 10, the rest empty."""
    fields = (
        (0xF0, _CARD_IDENTIFIER + guid[:14]),
        (0xF1, b"\x21"),
        (0xF2, b"\x21"),
        (0xF3, b""),
        (0xF4, b"\x00"),
        (0xF5, b"\x10"),
        *((tag, b"") for tag in (0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD)),
    )
    return b"".join(tlv.encode(tag, value) for tag, value in fields) + _EDC


def discovery(*, match: bool) -> bytes:
    """Discovery object (pt1 section 3.3.2): what opens the keys, the PIN or also a finger."""
    policy = _POLICY_PIN_OR_MATCH if match else _POLICY_PIN
    return tlv.encode(0x4F, piv.AID) + tlv.encode(0x5F2F, policy)


def bit_group(bits: tuple[Bit, ...]) -> bytes:
    """BIT group template (pt1 section 3.3.6): the fingers the card holds; none is a count of 0.

    Raises ValueError for a finger without a position.
    """
    if any(bit.position == 0 for bit in bits):
        raise ValueError("a stored finger has a position")
    return tlv.one(occ.encode_bits(bits), occ.OBJECT_BIT_GROUP)


def certificate(der: bytes) -> bytes:
    """X.509 certificate object (pt1 table 10), not compressed."""
    return tlv.encode(0x70, der) + tlv.encode(0x71, b"\x00") + _EDC
