"""BER-TLV as the card reads and writes it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hil.card.tlv import TlvError, decode, decode_one, decode_set, encode

TAGS = st.sampled_from([0x04, 0x53, 0x70, 0x7C, 0x5F2F, 0x7F61, 0x5FC102])


@given(st.lists(st.tuples(TAGS, st.binary(max_size=300)), max_size=5))
def test_what_is_written_is_read(objects: list[tuple[int, bytes]]) -> None:
    assert decode(b"".join(encode(tag, value) for tag, value in objects)) == objects


@given(st.binary(max_size=64))
@example(b"\x53\x80\x00\x00")
@example(b"\x5f")
@example(b"\x5f\xff\xff\x7f\x00")
@example(b"\x53\x84\x00\x00\x00\x00")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = decode(data)
    except TlvError:
        return
    # Lengths may have been longer than need be: the values are there all the same.
    assert sum(len(value) for _, value in found) <= len(data)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535])
def test_a_length_is_written_as_short_as_it_can_be(size: int) -> None:
    head = len(encode(0x53, bytes(size))) - size
    assert head == (2 if size < 128 else 3 if size < 256 else 4)
    assert decode_one(0x53, encode(0x53, bytes(size))) == bytes(size)


def test_more_than_two_length_bytes_is_never_written() -> None:
    with pytest.raises(ValueError, match=r"65,535"):
        encode(0x53, bytes(65_536))


def test_a_length_longer_than_need_be_is_read() -> None:
    assert decode(bytes.fromhex("8582000101")) == [(0x85, b"\x01")]


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("indefinite", "53800000"),
        ("three length bytes", "538300000100"),
        ("length past the end", "530201"),
        ("length missing", "53"),
        ("length cut", "538201"),
        ("tag cut", "5F"),
        ("tag of four bytes", "5FFFFF0100"),
    ],
)
def test_bad_bytes_are_refused(reason: str, data: str) -> None:
    with pytest.raises(TlvError):
        decode(bytes.fromhex(data))


def test_one_object_is_that_object_and_no_more() -> None:
    assert decode_one(0x5C, b"\x5c\x01\x7e") == b"\x7e"
    for other in (b"\x5d\x01\x7e", b"\x5c\x01\x7e\x5c\x01\x7e", b""):
        with pytest.raises(TlvError):
            decode_one(0x5C, other)


def test_a_tag_may_stand_once_in_a_set() -> None:
    assert decode_set(b"\x82\x00\x81\x01\x07") == {0x82: b"", 0x81: b"\x07"}
    with pytest.raises(TlvError):
        decode_set(b"\x82\x00\x82\x00")
