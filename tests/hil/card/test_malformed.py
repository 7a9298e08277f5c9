"""Broken data objects are broken, each in its own way."""

import gzip
import zlib

import pytest

from hil.card.malformed import Malformation, gzip_bomb, malformed
from hil.card.tlv import TlvError, decode_one, decode_set, encode

GENUINE = encode(0x53, encode(0x30, b"abc") + encode(0xFE))


def accept(wire: bytes) -> dict[int, bytes]:
    return decode_set(decode_one(0x53, wire))


def test_the_genuine_one_is_accepted() -> None:
    assert accept(GENUINE) == {0x30: b"abc", 0xFE: b""}


@pytest.mark.parametrize("how", [how for how in Malformation if how.name != "DEEP_NESTING"])
def test_a_strict_reader_refuses_it(how: Malformation) -> None:
    with pytest.raises(TlvError):
        accept(malformed(GENUINE, how))


def test_deep_nesting_is_well_formed_and_deep() -> None:
    value = decode_one(0x53, malformed(GENUINE, Malformation.DEEP_NESTING))
    for _ in range(1000):
        value = decode_one(0x70, value)
    assert value == GENUINE[2:]


def test_a_tag_of_two_bytes_is_broken_too() -> None:
    wire = encode(0x7F61, encode(0x02, b"\x00"))
    assert malformed(wire, Malformation.INDEFINITE_LENGTH).hex() == "7f61800201000000"


def test_a_bomb_is_small_and_inflates_to_what_was_asked() -> None:
    content = gzip_bomb(4_000_000)
    assert len(content) < 5_000
    packed = decode_set(content)[0x70]
    assert len(zlib.decompressobj(wbits=31).decompress(packed, 5_000_000)) == 4_000_000
    assert gzip.decompress(packed) == bytes(4_000_000)
