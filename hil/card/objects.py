"""The PIV data objects this card holds (SP 800-73-5 part 1, section 3 and appendix A).

Knows each object's tag, its inner fields and whether the PIN must be given to read it; not how it
is asked for. Left out, though the standard has them on every card: the security object, the
facial image, and the issuer's signature in the CHUID (present, empty): no issuer signs here.
"""

from __future__ import annotations

import gzip
import secrets
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from hil.card.tlv import TlvError, decode_set, encode

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from hil.card.fascn import Fascn
    from hil.card.keys import KeyName

# SP 800-73-5 part 1, 2.2: the PIV Card Application's AID, version 01 00 at its end.
AID: Final = bytes.fromhex("A000000308000010000100")
AID_TRUNCATED: Final = AID[:-2]
PIV_RID: Final = AID[:5]


class Tag(IntEnum):
    """BER-TLV tags of part 1, table "PIV data containers"."""

    DISCOVERY = 0x7E
    BIT_GROUP = 0x7F61
    CERTIFICATE_9E = 0x5FC101
    CHUID = 0x5FC102
    FINGERPRINTS = 0x5FC103
    CERTIFICATE_9A = 0x5FC105
    CAPABILITIES = 0x5FC107
    PRINTED = 0x5FC109
    CERTIFICATE_9C = 0x5FC10A
    CERTIFICATE_9D = 0x5FC10B
    KEY_HISTORY = 0x5FC10C


CERTIFICATE_TAGS: Final[dict[KeyName, Tag]] = {
    "9A": Tag.CERTIFICATE_9A,
    "9C": Tag.CERTIFICATE_9C,
    "9D": Tag.CERTIFICATE_9D,
    "9E": Tag.CERTIFICATE_9E,
}
# Part 1, the same table: contact interface, read access "PIN", and "PIN or OCC".
PIN_TO_READ: Final = frozenset({Tag.FINGERPRINTS})
PIN_OR_FINGER_TO_READ: Final = frozenset({Tag.PRINTED})
# Part 1, 3.3.2: the PIN Usage Policy in the Discovery object, its first byte.
PIN_USAGE_POLICY: Final = 0x5F2F
PIN_SATISFIES: Final = 0x40
COMPARISON_SATISFIES: Final = 0x10
# Part 2, 3.1.2: these two are returned as they are; all others inside a 53.
BARE: Final = frozenset({Tag.DISCOVERY, Tag.BIT_GROUP})
CONTENT: Final = 0x53
CHUID_GUID: Final = 0x34  # part 1, table "Card Holder Unique Identifier"
_ERROR_DETECTION_CODE: Final = encode(0xFE)


def on_wire(tag: int, content: bytes) -> bytes:
    """The data field GET DATA answers with."""
    return encode(tag if tag in BARE else CONTENT, content)


def chuid(guid: UUID, expires: date, fascn: Fascn) -> bytes:
    """Card Holder Unique Identifier, 0x3000."""
    return (
        encode(0x30, fascn.encode())
        + encode(CHUID_GUID, guid.bytes)
        + encode(0x35, expires.strftime("%Y%m%d").encode())
        + encode(0x3E)
        + _ERROR_DETECTION_CODE
    )


def capabilities() -> bytes:
    """Card Capability Container, 0xDB00: PIV's data model 10, everything optional empty."""
    card_identifier = AID[:5] + bytes([0x01, 0x02]) + secrets.token_bytes(14)
    return (
        encode(0xF0, card_identifier)
        + encode(0xF1, b"\x21")
        + encode(0xF2, b"\x21")
        + encode(0xF3)
        + encode(0xF4, b"\x00")
        + encode(0xF5, b"\x10")
        + b"".join(encode(tag) for tag in (0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD))
        + _ERROR_DETECTION_CODE
    )


def discovery(*, compares: bool = False) -> bytes:
    """Discovery object, 0x6050: the PIN satisfies the access rules (40 00), or a finger (50 00)."""
    policy = PIN_SATISFIES | (COMPARISON_SATISFIES if compares else 0)
    return encode(0x4F, AID) + encode(PIN_USAGE_POLICY, bytes([policy, 0x00]))


def comparison_satisfies(content: bytes | None) -> bool:
    """Whether a Discovery object's content has the bit of on-card comparison."""
    return bool(content and pin_usage_policy(content) & COMPARISON_SATISFIES)


def pin_usage_policy(content: bytes) -> int:
    """The first byte of the policy in a Discovery object. Raises TlvError."""
    policy = decode_set(content).get(PIN_USAGE_POLICY, b"")
    if len(policy) != 2:
        raise TlvError("no PIN usage policy")
    return policy[0]


def key_history() -> bytes:
    """Key history, 0x6060: no retired keys."""
    return encode(0xC1, b"\x00") + encode(0xC2, b"\x00") + _ERROR_DETECTION_CODE


def certificate(der: bytes, *, compressed: bool = False) -> bytes:
    """An X.509 certificate object: 71 is 01 where the certificate is gzipped, else 00."""
    held = gzip.compress(der, mtime=0) if compressed else der
    return encode(0x70, held) + encode(0x71, bytes([compressed])) + _ERROR_DETECTION_CODE


def fingerprints() -> bytes:
    """Cardholder fingerprints, 0x6010: noise in the place of a record, to see who may read it."""
    return encode(0xBC, secrets.token_bytes(512)) + _ERROR_DETECTION_CODE


def printed(expires: date) -> bytes:
    """Printed information, 0x3001."""
    return (
        encode(0x01, b"TEST HOLDER")
        + encode(0x02, b"TEST")
        + encode(0x04, expires.strftime("%Y%b%d").upper().encode())
        + encode(0x05, b"0000000001")
        + encode(0x06, b"SDBOX TEST RIG ")
        + _ERROR_DETECTION_CODE
    )
