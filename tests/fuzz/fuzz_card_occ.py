"""The BIT group and the other small answers of a card or a reader; the prompt's frame."""

import contextlib

from sdbox_agent.card import occ, pad, pin, pinframe, verify
from sdbox_agent.card.apdu import parse
from sdbox_agent.cardkind import Bit
from sdbox_agent.errors import DecodeError, SdboxError

_BIT = Bit(key="96", position=2, minimum=12, maximum=60, order=9)
_OTHER = Bit(key="97", position=7, minimum=1, maximum=255, order=0)
SEEDS: list[bytes] = [
    occ.encode_bits(()),
    occ.encode_bits((_BIT,)),
    occ.encode_bits((_BIT, _OTHER)),
    bytes.fromhex("060442000DB6"),
    pad.request(),
    bytes.fromhex("0000000701") + b"123456\xff\xff",
    b"\x00\xff",
    b"\x63\xc3",
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
