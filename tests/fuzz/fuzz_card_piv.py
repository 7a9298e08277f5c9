"""PIV's objects and answers, each reader on the same bytes."""

import contextlib
import gzip

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sdbox_agent.card import padding, piv, spki, tlv
from sdbox_agent.errors import DecodeError
from tests.fuzz import structure
from tests.pki import grown

MUTATE = structure.mutate
PARSERS = (
    piv.decode_select,
    piv.decode_discovery,
    piv.decode_chuid,
    piv._day,
    piv.decode_certificate,
    piv._inflate,
    piv.decode_authenticate,
    piv.decode_block,
    piv.decode_ecdsa,
    piv._integer,
    padding.oaep_decode,
    spki.check_point,
)
RSA = grown.card("rsa2048")


def _certificate(content: bytes, info: str = "00", edc: bytes = b"") -> bytes:
    fields = tlv.encode(0x70, content) + tlv.encode(0x71, bytes.fromhex(info))
    return tlv.encode(0x53, fields + tlv.encode(0xFE, edc))


def _chuid(day: bytes = b"20300101", guid: bytes = bytes(16)) -> bytes:
    fields = {0x30: bytes(25), 0x34: guid, 0x35: day, 0x3E: b"", 0xFE: b""}
    return tlv.encode(0x53, b"".join(tlv.encode(tag, value) for tag, value in fields.items()))


def _answer(value: bytes) -> bytes:
    return tlv.encode(0x7C, tlv.encode(0x82, value))


def _ecdsa(r: str, s: str) -> bytes:
    pair = tlv.encode(0x02, bytes.fromhex(r)) + tlv.encode(0x02, bytes.fromhex(s))
    return _answer(tlv.encode(0x30, pair))


def _point(kind: str) -> bytes:
    key = grown.card(kind).key_management.public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _oaep(message: bytes, spoilt: int | None = None) -> bytes:
    """A block as the card deciphers it, by the book."""
    data = padding._EMPTY_LABEL_HASH + bytes(256 - 2 * 32 - 2 - len(message)) + b"\1" + message
    block = bytearray(data)
    if spoilt is not None:
        block[spoilt] ^= 2
    masked = padding._xor(block, padding.mgf1(bytes(32), len(block)))
    return b"\0" + padding._xor(bytes(32), padding.mgf1(masked, 32)) + masked


SEEDS: list[bytes] = [
    bytes.fromhex("61114F0600001000010079074F05A000000308"),
    bytes.fromhex("610D4F0BA000000308000010000100"),
    bytes.fromhex("61054F03000000"),
    bytes.fromhex("6100"),
    bytes.fromhex("7E124F0BA0000003080000100001005F2F024000"),
    bytes.fromhex("7E124F0BA0000003080000100001005F2F025000"),
    bytes.fromhex("7E124F0BA0000003080000100001005F2F020000"),
    _chuid(),
    _chuid(b"20300230"),
    _chuid(b"2030010x"),
    _chuid(b"203001"),
    _certificate(b"\x30\x00"),
    _certificate(gzip.compress(b"\x30\x00"), "01"),
    _certificate(gzip.compress(bytes(1 << 20)), "01"),
    _certificate(gzip.compress(b"x") + b"x", "01"),
    _certificate(b"no gzip", "01"),
    _certificate(b"", "00"),
    _certificate(b"x", "02"),
    _certificate(b"x", "00", b"x"),
    _ecdsa("01", "0100"),
    _ecdsa("00", "01"),
    _ecdsa("80", "01"),
    _ecdsa("", "01"),
    _ecdsa("0001", "01"),
    _ecdsa("01", "00" + "FF" * 48),
    _answer(bytes(32)),
    _answer(bytes(256)),
    _point("p256"),
    _point("p384"),
    b"\4" + b"\xff" * 64,
    _oaep(b"k" * 32),
    _oaep(b"k" * 32, spoilt=0),
    _oaep(b"k" * 32, spoilt=40),
    bytes(256),
]
READERS = (
    piv.decode_select,
    piv.decode_discovery,
    piv.decode_chuid,
    piv.decode_certificate,
    piv.decode_authenticate,
    lambda data: piv.decode_ecdsa(data, spki.Curve.P256),
    lambda data: piv.decode_ecdsa(data, spki.Curve.P384),
    lambda data: piv.decode_block(data, 32),
    lambda data: spki.check_point(spki.Curve.P256, data),
    lambda data: spki.check_point(spki.Curve.P384, data),
)


def target(data: bytes) -> None:
    """Read or refused, nothing else."""
    for read in READERS:
        with contextlib.suppress(DecodeError):
            read(data)
    if len(data) in {256, 384}:
        with contextlib.suppress(DecodeError):
            assert len(padding.oaep_decode(data)) <= len(data) - 66
