"""BER-TLV: one form, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import tlv
from sdbox_agent.errors import DecodeError

TAGS = st.sampled_from([0x30, 0x53, 0x7C, 0x82, 0xFE, 0x5F2F, 0x7F61, 0x5FC102])
ITEMS = st.lists(st.tuples(TAGS, st.binary(max_size=300)), max_size=6)


@given(ITEMS)
def test_what_is_encoded_is_read_back(items: list[tuple[int, bytes]]) -> None:
    data = b"".join(tlv.encode(tag, value) for tag, value in items)
    assert [(item.tag, item.value) for item in tlv.parse(data)] == items


@given(st.binary(max_size=400))
def test_what_is_read_has_no_other_form(data: bytes) -> None:
    try:
        items = tlv.parse(data)
    except DecodeError:
        return
    assert b"".join(tlv.encode(item.tag, item.value) for item in items) == data


@pytest.mark.parametrize(
    "text",
    [
        "53",  # no length
        "5380",  # indefinite
        "5380 0000",
        "538100",  # 00 in two bytes
        "53817F" + "00" * 127,
        "538200FF" + "00" * 255,
        "53830001 00",
        "538400000001 00",  # four bytes
        "5302 00",  # longer than the data
        "5381",
        "53820 1",
        "5F",
        "5F80 01 00",  # tag number with a leading zero
        "5F1E 00",  # a number that fits one byte
        "5FC1C1C1 01 00",  # tag of four bytes
        "0000",
        "FF00",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    """Fault 16."""
    with pytest.raises(DecodeError):
        tlv.parse(bytes.fromhex(text.replace(" ", "")))


def test_lengths_at_the_edges_are_read() -> None:
    for size in (0, 1, 127, 128, 255, 256, 65535):
        assert tlv.one(tlv.encode(0x53, bytes(size)), 0x53) == bytes(size)
    with pytest.raises(ValueError):
        tlv.encode(0x53, bytes(65536))


def test_one_is_one_and_nothing_after_it() -> None:
    data = tlv.encode(0x53, b"x")
    assert tlv.one(data, 0x53) == b"x"
    for bad in (b"", data + data, data + b"\x00", tlv.encode(0x54, b"x")):
        with pytest.raises(DecodeError):
            tlv.one(bad, 0x53)


def test_a_sequence_has_its_order() -> None:
    data = tlv.encode(0x02, b"\x01") + tlv.encode(0x03, b"\x02")
    assert tlv.sequence(data, 0x02, 0x03) == [b"\x01", b"\x02"]
    for tags in ((0x03, 0x02), (0x02,), (0x02, 0x03, 0x04)):
        with pytest.raises(DecodeError):
            tlv.sequence(data, *tags)


def test_fields_come_once_and_are_known() -> None:
    a, b, c = (tlv.encode(tag, b"") for tag in (0x70, 0x71, 0x72))
    assert tlv.fields(b + a, {0x70, 0x71}, {0x72}).keys() == {0x70, 0x71}
    assert tlv.fields(a + b + c, {0x70, 0x71}, {0x72}).keys() == {0x70, 0x71, 0x72}
    for bad in (a, a + b + b, a + b + tlv.encode(0x73, b"")):
        with pytest.raises(DecodeError):
            tlv.fields(bad, {0x70, 0x71}, {0x72})


def test_the_number_of_objects_is_bounded() -> None:
    assert len(tlv.parse(b"\x30\x00" * tlv.MAX_ITEMS)) == tlv.MAX_ITEMS
    with pytest.raises(DecodeError):
        tlv.parse(b"\x30\x00" * (tlv.MAX_ITEMS + 1))
