"""A stream is TLS records to its last byte, however it is cut."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.net.tls import Records
from sdbox_agent.errors import DecodeError

HELLO = b"\x16\x03\x01\x00\x04abcd"
DATA = b"\x17\x03\x03\x00\x03xyz"
STREAM = HELLO + b"\x14\x03\x03\x00\x01\x01" + DATA * 3 + b"\x15\x03\x03\x00\x02no"


@given(
    st.lists(st.integers(1, len(STREAM) - 1), max_size=8),
    st.integers(0, 2**32 - 1),
    st.randoms(use_true_random=False),
)
def test_however_records_are_cut_repeated_and_reordered(
    cuts: list[int], first: int, shuffle: random.Random
) -> None:
    bounds = [0, *sorted(set(cuts)), len(STREAM)]
    pieces = list(itertools.pairwise(bounds))
    pieces += [(max(start - 3, 0), end) for start, end in pieces]  # sent again, and more of it
    shuffle.shuffle(pieces)
    records = Records(first)
    for start, end in pieces:
        records.add((first + start) % 2**32, STREAM[start:end])


@given(st.integers(0, len(STREAM)), st.binary(min_size=6, max_size=6))
def test_text_after_a_record_is_seen(after: int, text: bytes) -> None:
    ends = {9, 15, 23, 31, 39, 46}
    text = b"G" + text
    records = Records(0)
    records.add(0, STREAM[:after])
    if after in ends or after == 0:
        with pytest.raises(DecodeError):
            records.add(after, text)


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1",
        DATA,  # no connection begins so
        b"\x16\x03\x04\x00\x01a",
        b"\x16\x02\x00\x00\x01a",
        b"\x16\x03\x03\x00\x00",
        b"\x16\x03\x03\x41\x01",
        HELLO + b"\x18\x03\x03\x00\x01a",
    ],
)
def test_what_is_no_record_is_refused(stream: bytes) -> None:
    with pytest.raises(DecodeError, match="record"):
        Records(5).add(5, stream)
    with pytest.raises(DecodeError, match="record"):
        byte_by_byte(Records(5), 5, stream)


def byte_by_byte(records: Records, first: int, stream: bytes) -> None:
    for at in range(len(stream)):
        records.add(first + at, stream[at : at + 1])


def test_a_gap_is_waited_for_but_not_for_ever() -> None:
    records = Records(0)
    for at in range(64):
        records.add(100 + at, b"x")
    with pytest.raises(DecodeError, match="gap"):
        records.add(200, b"x")


ASKED = (b"CONNECT one\r\n\r\n", b"CONNECT two\r\n\r\n")


@given(st.sampled_from(ASKED), st.integers(1, 40))
def test_what_may_stand_before_it_stands_there_once(asked: bytes, cut: int) -> None:
    whole = asked + STREAM
    records = Records(0, frozenset(ASKED))
    records.add(0, whole[:cut])
    records.add(cut, whole[cut:])
    with pytest.raises(DecodeError):
        records.add(len(whole), asked)


@pytest.mark.parametrize("stream", [STREAM, b"CONNECT three", b"GET / HTTP/1.1"])
def test_nothing_else_stands_before_it(stream: bytes) -> None:
    with pytest.raises(DecodeError):
        Records(0, frozenset(ASKED)).add(0, stream)
