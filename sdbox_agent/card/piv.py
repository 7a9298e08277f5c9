"""The PIV card application's words: what is sent to it, and what its answers may look like.

NIST SP 800-73pt1-5 (data model, "pt1") and pt2-5 (commands, "pt2"), SP 800-78-5 (algorithms). Reads
bytes and builds commands; knows neither the connection nor why anybody asks. Which certificate is
believed is decided elsewhere: here it only has to be the bytes of one.
"""

from __future__ import annotations

import datetime
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.card import tlv
from sdbox_agent.card.apdu import Command
from sdbox_agent.card.spki import Curve, EcKey, PublicKey
from sdbox_agent.errors import DecodeError

if TYPE_CHECKING:
    from sdbox_agent.cardkind import Algorithm

# pt1 section 2.2: RID of NIST, then the PIX of the PIV card application, version 01 00
RID: Final = bytes.fromhex("A000000308")
AID: Final = RID + bytes.fromhex("000010000100")

# pt1 table 4b: key references; the names are those of ipc.KeyName
KEYS: Final = {"9A": 0x9A, "9D": 0x9D, "9E": 0x9E}

# pt1 table 3: data objects
OBJECT_DISCOVERY: Final = 0x7E
OBJECT_CHUID: Final = 0x5FC102
CERTIFICATE_OBJECTS: Final = {"9A": 0x5FC105, "9D": 0x5FC10B, "9E": 0x5FC101}

# pt2 section 3 and table 2
INS_SELECT: Final = 0xA4
INS_GET_DATA: Final = 0xCB
INS_GENERAL_AUTHENTICATE: Final = 0x87

# pt2 section 3: status words that mean something to us
SW_NOT_FOUND: Final = 0x6A82  # no such application, no such object
SW_SECURITY_STATUS: Final = 0x6982  # the key wants a PIN or a match first
SW_BLOCKED: Final = 0x6983  # of a key that will not be used again

# SP 800-78-5 table 6-2: algorithm identifiers; then by curve, and by modulus size in bytes
ALGORITHMS: Final[dict[Algorithm, int]] = {
    "P-256": 0x11,
    "P-384": 0x14,
    "RSA-2048": 0x07,
    "RSA-3072": 0x05,
}
_ALGORITHM_EC: Final = {Curve.P256: ALGORITHMS["P-256"], Curve.P384: ALGORITHMS["P-384"]}
_ALGORITHM_RSA: Final = {256: ALGORITHMS["RSA-2048"], 384: ALGORITHMS["RSA-3072"]}

# pt2 section 3.2.4: dynamic authentication template
_TEMPLATE: Final = 0x7C
_CHALLENGE: Final = 0x81
_RESPONSE: Final = 0x82
_EXPONENTIATION: Final = 0x85

_DATA: Final = 0x53  # pt2 section 3.1.2: what every object but 7E and 7F61 comes wrapped in
_EDC: Final = 0xFE  # error detection code: there, and empty
_APPLICATION: Final = 0x61  # pt2 section 3.1.1: application property template

# Ours (fault 15: a certificate that inflates for ever)
MAX_CERTIFICATE_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Chuid:
    """Card holder unique identifier: the card's GUID, its last day, and all its bytes."""

    guid: bytes
    expires: str  # YYYYMMDD
    raw: bytes


def select(aid: bytes = AID) -> Command:
    """SELECT the PIV card application (pt2 section 3.1.1), or one that answers like it."""
    return Command(INS_SELECT, 0x04, 0x00, aid)


def get_data(tag: int) -> Command:
    """GET DATA of one object (pt2 section 3.1.2)."""
    name = tag.to_bytes((tag.bit_length() + 7) // 8)
    return Command(INS_GET_DATA, 0x3F, 0xFF, tlv.encode(0x5C, name))


def decode_select(data: bytes, aid: bytes = AID) -> None:
    """The answer to SELECT names the application, by its AID or its PIX. Raises DecodeError.

    The text calls the value the PIX; cards in the field send either.
    """
    for item in tlv.parse(tlv.one(data, _APPLICATION)):
        if item.tag == 0x4F and item.value in {aid, aid[len(RID) :]}:
            return
    raise DecodeError("not the PIV application")


def decode_discovery(data: bytes, aid: bytes = AID) -> bytes:
    """The PIN usage policy (5F2F) of a discovery object (pt1 section 3.3.2). Raises DecodeError."""
    named, policy = tlv.sequence(tlv.one(data, OBJECT_DISCOVERY), 0x4F, 0x5F2F)
    if named != aid or len(policy) != 2 or not policy[0] & 0x40:  # the PIV PIN is mandatory
        raise DecodeError("discovery object")
    return policy


def decode_chuid(data: bytes) -> Chuid:
    """Read a CHUID (pt1 section 3.1.2, table 9). Raises DecodeError.

    Its issuer's signature (3E) is not used: the GUID is bound to the card by the certificates.
    """
    found = tlv.fields(
        tlv.one(data, _DATA),
        required={0x30, 0x34, 0x35, _EDC},
        optional={0xEE, 0x32, 0x33, 0x36, 0x3D, 0x3E},
    )
    sizes = {0x30: 25, 0x34: 16, 0x35: 8, 0x36: 16, _EDC: 0}
    if any(tag in found and len(found[tag]) != size for tag, size in sizes.items()):
        raise DecodeError("CHUID field size")
    return Chuid(found[0x34], _day(found[0x35]), data)


def _day(text: bytes) -> str:
    if not (len(text) == 8 and text.isdigit()):
        raise DecodeError("CHUID expiry")
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise DecodeError("CHUID expiry") from None
    return text.decode("ascii")


def decode_certificate(data: bytes) -> bytes:
    """The DER in an X.509 certificate object (pt1 table 10), inflated if it says so.

    Raises DecodeError, also where it inflates to more than MAX_CERTIFICATE_BYTES.
    """
    found = tlv.fields(tlv.one(data, _DATA), required={0x70, 0x71, _EDC}, optional={0x72})
    if found[_EDC]:
        raise DecodeError("error detection code")
    match found[0x71]:
        case b"\x00":
            certificate = found[0x70]
        case b"\x01":
            certificate = _inflate(found[0x70])
        case _:
            raise DecodeError("certificate information")
    if not 0 < len(certificate) <= MAX_CERTIFICATE_BYTES:
        raise DecodeError("certificate size")
    return certificate


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # gzip, RFC 1952
    try:
        plain = inflater.decompress(data, MAX_CERTIFICATE_BYTES + 1)
    except zlib.error:
        raise DecodeError("gzip") from None
    if not inflater.eof or inflater.unused_data:
        raise DecodeError("gzip too long, cut short or followed by more")
    return plain


def private_operation(key_reference: int, key: PublicKey, block: bytes) -> Command:
    """GENERAL AUTHENTICATE over a hash (EC) or a whole block (RSA): sign, or RSA decipher.

    SP 800-73pt2-5 section 3.2.4, tables 7 and 8. RSA is the bare private operation: padding is
    ours to put on or take off.
    """
    return _authenticate(key_reference, _algorithm(key), _CHALLENGE, block)


def key_agreement(key_reference: int, key: EcKey, point: bytes) -> Command:
    """GENERAL AUTHENTICATE for ECDH: `point` is 04 || X || Y, the answer the shared X."""
    return _authenticate(key_reference, _algorithm(key), _EXPONENTIATION, point)


def _authenticate(key_reference: int, algorithm: int, tag: int, value: bytes) -> Command:
    template = tlv.encode(_RESPONSE, b"") + tlv.encode(tag, value)
    data = tlv.encode(_TEMPLATE, template)
    return Command(INS_GENERAL_AUTHENTICATE, algorithm, key_reference, data)


def _algorithm(key: PublicKey) -> int:
    if isinstance(key, EcKey):
        return _ALGORITHM_EC[key.curve]
    return _ALGORITHM_RSA[key.size_bytes]


def decode_authenticate(data: bytes) -> bytes:
    """The value (82) in the answer to GENERAL AUTHENTICATE. Raises DecodeError."""
    return tlv.one(tlv.one(data, _TEMPLATE), _RESPONSE)


def decode_block(data: bytes, size_bytes: int) -> bytes:
    """An RSA block or an X coordinate, of exactly its size. Raises DecodeError."""
    value = decode_authenticate(data)
    if len(value) != size_bytes:
        raise DecodeError("result size")
    return value


def decode_ecdsa(data: bytes, curve: Curve) -> bytes:
    """The pair r || s, each of the curve's size, from a DER Ecdsa-Sig-Value (RFC 3279 2.2.3).

    Raises DecodeError.
    """
    r, s = tlv.sequence(tlv.one(decode_authenticate(data), 0x30), 0x02, 0x02)
    return _integer(r, curve) + _integer(s, curve)


def _integer(value: bytes, curve: Curve) -> bytes:
    if not value or value[0] & 0x80 or (value[0] == 0 and not value[1:2] >= b"\x80"):
        raise DecodeError("signature integer")
    number = int.from_bytes(value)
    if not 0 < number < curve.order:
        raise DecodeError("signature out of range")
    return number.to_bytes(curve.size_bytes)
