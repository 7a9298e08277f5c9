"""Command APDUs: the four cases, short and extended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.card.apdu import Command, Refusal, Reply, Sw, parse

HEAD = bytes([0x00, 0xCB, 0x3F, 0xFF])


@pytest.mark.parametrize(
    ("case", "body", "data", "ne"),
    [
        ("1", "", b"", 0),
        ("2 short", "08", b"", 8),
        ("2 short, all", "00", b"", 256),
        ("3 short", "02AABB", b"\xaa\xbb", 0),
        ("4 short", "02AABB10", b"\xaa\xbb", 16),
        ("4 short, all", "02AABB00", b"\xaa\xbb", 256),
        ("2 extended", "000102", b"", 0x102),
        ("2 extended, all", "000000", b"", 65_536),
        ("3 extended", "000002AABB", b"\xaa\xbb", 0),
        ("4 extended", "000002AABB0000", b"\xaa\xbb", 65_536),
    ],
)
def test_each_case_is_read(case: str, body: str, data: bytes, ne: int) -> None:
    assert parse(HEAD + bytes.fromhex(body)) == Command(0x00, 0xCB, 0x3F, 0xFF, data, ne)


@pytest.mark.parametrize(
    "body", ["0000", "02AA", "02AABB0000", "00000200", "000000AABB", "000001AABB", "000001AA00"]
)
def test_lengths_that_lie_are_refused(body: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse(HEAD + bytes.fromhex(body))
    assert refusal.value.sw == Sw.WRONG_LENGTH


@given(st.binary(max_size=4))
def test_a_header_has_four_bytes(raw: bytes) -> None:
    if len(raw) < 4:
        with pytest.raises(Refusal):
            parse(raw)
    else:
        assert parse(raw).data == b""


@given(
    data=st.binary(max_size=600),
    ne=st.integers(0, 65_536),
)
def test_what_is_written_extended_is_read(data: bytes, ne: int) -> None:
    le = (ne % 65_536).to_bytes(2, "big") if ne else b""
    lc = b"\x00" + len(data).to_bytes(2, "big") if data else b"\x00" if ne else b""
    assert parse(HEAD + lc + data + le) == Command(0x00, 0xCB, 0x3F, 0xFF, data, ne)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        command = parse(raw)
    except Refusal:
        return
    assert len(command.data) < len(raw)
    assert 0 <= command.ne <= 65_536


def test_neither_command_nor_reply_shows_its_data() -> None:
    assert "secret" not in repr(Command(0, 0x20, 0, 0x80, b"secret"))
    assert "secret" not in repr(Reply(b"secret"))
