"""What the prompt and the card worker say: 13 bytes one way, two the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import pinframe
from sdbox_agent.card.pinframe import Status
from sdbox_agent.errors import DecodeError

FIELD = b"123456\xff\xff"


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_written_is_read(n: int, last: bool) -> None:
    request = bytearray(5) + bytearray(FIELD)
    pinframe.write_head(request, n, last=last)
    assert pinframe.read_head(request) == (n, last)
    assert request[pinframe.FIELD] == FIELD


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        bytes(4) + b"\x00" + FIELD[:-1],
        bytes(4) + b"\x00" + FIELD + b"\xff",
        bytes(4) + b"\x02" + FIELD,
        bytes(4) + b"\xff" + FIELD,
        bytes(13),
    ],
)
def test_another_request_is_refused(request_: bytes) -> None:
    with pytest.raises(DecodeError):
        pinframe.read_head(bytearray(request_))


@given(st.sampled_from(Status), st.none() | st.integers(0, 15))
def test_an_answer_is_read_as_it_was_written(status: Status, left: int | None) -> None:
    assert pinframe.read_answer(pinframe.answer(status, left)) == (status, left)


@pytest.mark.parametrize("answer", ["", "00", "000000", "06FF", "0010", "01FE"])
def test_another_answer_is_refused(answer: str) -> None:
    with pytest.raises(DecodeError):
        pinframe.read_answer(bytes.fromhex(answer))
