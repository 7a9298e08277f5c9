"""The event stream's text: in one form, in order, in pieces of any size."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.centre import eventstream
from sdbox_agent.centre.eventstream import KEEP_ALIVE, MAX_MESSAGE_BYTES, Message, Reader, encode
from sdbox_agent.errors import DecodeError

KINDS = st.from_regex(re.compile(r"[a-z]{1,20}", re.ASCII), fullmatch=True)
DATA = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.encode)
FIRST = Message(4, "revoked", b'{"session":"b-1"}')


@given(st.lists(st.one_of(st.none(), st.tuples(KINDS, DATA)), max_size=6), st.data())
def test_what_was_written_is_read_however_it_is_cut(
    said: list[tuple[str, bytes] | None], data: st.DataObject
) -> None:
    number, messages = 7, []
    for one in said:
        number += one is not None
        messages.append(None if one is None else Message(number, *one))
    text = b"".join(KEEP_ALIVE if one is None else encode(one) for one in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    reader, got = Reader(7), []
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        got += reader.feed(text[begin:end])
    assert got == messages
    assert reader.last == number


@given(st.binary(max_size=200))
@example(b"data: x\n\n")
@example(b"id: 01\nevent: a\ndata: \n\n")
@example("id: \u0661\nevent: a\ndata: \n\n".encode())
def test_anything_else_is_refused(text: bytes) -> None:
    reader = Reader(0)
    try:
        got = reader.feed(text)
    except DecodeError:
        return
    again = b"".join(KEEP_ALIVE if one is None else encode(one) for one in got)
    assert text.startswith(again)
    assert b"\n\n" not in text[len(again) :]


@pytest.mark.parametrize("number", [0, 3, 4, 6, 10**9])
def test_a_number_that_is_not_the_next_is_refused(number: int) -> None:
    reader = Reader(4)
    with pytest.raises(DecodeError, match="next"):
        reader.feed(encode(Message(number, "crl", b"{}")))


def test_a_box_that_knows_nothing_yet_is_told_where_to_begin() -> None:
    with pytest.raises(DecodeError, match="next"):
        Reader(None).feed(encode(FIRST))
    resync = Message(3, eventstream.RESYNC, b"{}")
    assert Reader(None).feed(encode(resync) + encode(FIRST)) == [resync, FIRST]
    assert Reader(900).feed(encode(resync) + encode(FIRST)) == [resync, FIRST]


def test_a_message_has_an_end() -> None:
    longest = Message(5, "window", b"x" * (MAX_MESSAGE_BYTES - len("id: 5\nevent: window\ndata: ")))
    assert Reader(4).feed(encode(longest)) == [longest]
    with pytest.raises(DecodeError):
        Reader(4).feed(encode(Message(5, "window", longest.data + b"x")))
    endless, piece = Reader(4), b"id: 5\nevent: window\ndata: ".ljust(MAX_MESSAGE_BYTES, b"x")
    endless.feed(piece)
    with pytest.raises(DecodeError, match="long"):
        endless.feed(b"x")
