"""Frames on a carrier's connection: any cut of the stream, any length, a queue that is full."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import frames
from sdbox_agent.tunnel.frames import MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES, Frames, Queue
from tests.fuzz import fuzz_carrier_frames

datagrams = st.lists(st.binary(min_size=MIN_DATAGRAM_BYTES, max_size=200), max_size=8)


def written(*given: bytes) -> bytes:
    queue = Queue()
    for each in given:
        queue.put(each)
    return queue.take(1 << 20)


@given(datagrams, st.lists(st.integers(0, 1700), max_size=8))
def test_what_is_put_in_comes_out_however_the_stream_is_cut(
    sent: list[bytes], cuts: list[int]
) -> None:
    stream = written(*sent)
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    reader = Frames()
    found = [reader.feed(stream[a:b]) for a, b in itertools.pairwise(places)]
    assert [datagram for part in found for datagram in part] == sent


@pytest.mark.parametrize("size", [MIN_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES])
def test_the_shortest_and_the_longest_pass(size: int) -> None:
    assert Frames().feed(written(bytes(size))) == [bytes(size)]


@pytest.mark.parametrize("size", [0, MIN_DATAGRAM_BYTES - 1, MAX_DATAGRAM_BYTES + 1, 0xFFFF])
def test_no_other_length_is_read_or_written(size: int) -> None:
    with pytest.raises(DecodeError):
        Frames().feed(size.to_bytes(2, "big"))  # at once: nobody waits for what can't be
    queue = Queue()
    queue.put(bytes(size))
    assert (queue.take(1 << 20), queue.dropped, bool(queue)) == (b"", 1, False)


def test_a_full_queue_drops_the_oldest() -> None:
    queue = Queue(most_bytes=250)
    for number in range(4):
        queue.put(bytes([number]) * 100)
    assert queue.dropped == 2
    assert Frames().feed(queue.take(1000)) == [b"\2" * 100, b"\3" * 100]
    assert not queue


def test_frames_are_taken_whole_and_no_more_than_asked_for() -> None:
    queue = Queue()
    for number in range(3):
        queue.put(bytes([number]) * 100)
    assert len(queue.take(150)) == 2 * 102
    assert len(queue.take(1)) == 102
    assert queue.take(1) == b""


def test_a_greeting_holds_its_token_and_nothing_else_is_one() -> None:
    said = frames.greeting(b"t" * 32)
    assert len(said) == frames.GREETING_BYTES
    assert frames.parse_greeting(said) == b"t" * 32
    for wrong in (b"", said[:-1], said + b"t", b"X" + said[1:]):
        with pytest.raises(DecodeError):
            frames.parse_greeting(wrong)


@given(st.binary(max_size=300))
def test_anything_is_frames_a_greeting_or_a_decode_error(data: bytes) -> None:
    fuzz_carrier_frames.target(data)
