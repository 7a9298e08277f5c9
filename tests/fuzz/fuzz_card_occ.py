"""The BIT group and the other small answers of a card or a reader; the prompt's frame."""

import contextlib

from sdbox_agent.card import occ, pad, pin, pinframe, tlv, verify
from sdbox_agent.card.apdu import parse
from sdbox_agent.cardkind import Bit
from sdbox_agent.errors import DecodeError, SdboxError
from tests.fuzz import structure

MUTATE = structure.mutate
PARSERS = (
    occ.decode_bits,
    occ._bit,
    pad.decode_features,
    pad.decode_left,
    pin.check,
    pinframe.read_head,
    pinframe.read_answer,
    verify.decode_left,
)
_BIT = Bit(key="96", position=2, minimum=12, maximum=60, order=9)
_OTHER = Bit(key="97", position=7, minimum=1, maximum=255, order=0)

_FEATURES = bytes.fromhex(  # the template of `_BIT`, and feature handling that nobody asked for
    "7F61250201017F601F830196A11A8101088201098702010188020005B10A81020C3C820109830101"
)


def _changed(bits: tuple[Bit, ...], old: bytes, new: bytes) -> bytes:
    return occ.encode_bits(bits).replace(old, new)


SEEDS: list[bytes] = [
    occ.encode_bits(()),
    occ.encode_bits((_BIT,)),
    occ.encode_bits((_BIT, _OTHER)),
    bytes.fromhex("060442000DB6"),
    pad.request(),
    bytes.fromhex("0000000701") + b"123456\xff\xff",
    b"\x00\xff",
    b"\x63\xc3",
    # VERIFY's and a pad's other answers: given, blocked, data, a word of its own; nobody typed,
    # given up, too short
    *(bytes.fromhex(word) for word in ("9000", "6983", "019000", "6A80", "6400", "6401", "6403")),
    # groups: empty, another count, three, something else in it, one finger twice
    *(bytes.fromhex(text) for text in ("7F6100", "7F6103020101", "7F6103030100")),
    tlv.encode(0x7F61, bytes.fromhex("020101") + tlv.encode(0x53, b"")),
    _changed((_BIT, _OTHER), b"\x83\x01\x97", b"\x83\x01\x96"),
    # templates: not a finger, features, another field's size, bounds, reference
    _changed((_BIT,), b"\x81\x01\x08", b"\x81\x01\x02"),
    _changed((_BIT,), b"\x82\x01\x09", b"\x82\x01\x04"),
    _changed((_BIT,), b"\x0c\x3c", b"\x3c\x0c"),
    _changed((_BIT,), b"\x83\x01\x96", b"\x83\x01\x95"),
    _FEATURES,
    b"",
]


def _bits(data: bytes) -> None:
    bits = occ.decode_bits(data)
    if occ.decode_bits(occ.encode_bits(bits)) != bits:
        raise AssertionError("a BIT group does not survive")


READERS = (
    _bits,
    pad.decode_features,
    pad.decode_left,
    pin.check,
    pinframe.read_head,
    pinframe.read_answer,
    lambda data: verify.decode_left(parse(data)),
)


def target(data: bytes) -> None:
    """Read or refused, nothing else."""
    for read in READERS:
        with contextlib.suppress(DecodeError, SdboxError):
            read(bytearray(data) if read is pin.check else data)
