"""A frame is taken once; what is kept of it tells nothing but that it was had before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent import ipc
from sdbox_agent.errors import Refused
from sdbox_agent.sensor.replay import Replays, tag_of

KEY, OTHER_KEY = bytes(32), bytes([1] * 32)


def frame(value: int = 0, shape: tuple[int, int] = (120, 100)) -> np.ndarray:
    return np.full(shape, value, dtype=np.uint8)


def test_a_frame_is_taken_once_and_told_once() -> None:
    told: list[bytes] = []
    replays = Replays(KEY, (), told.append)
    replays.take(frame(1))
    replays.take(frame(2))
    assert told == [tag_of(KEY, frame(1)), tag_of(KEY, frame(2))]
    with pytest.raises(Refused, match="replayed-sample"):
        replays.take(frame(1))
    assert len(told) == 2


def test_what_an_earlier_process_took_is_refused() -> None:
    replays = Replays(KEY, [tag_of(KEY, frame(1))], lambda _: None)
    with pytest.raises(Refused, match="replayed-sample"):
        replays.take(frame(1))
    replays.take(frame(2))


def test_a_tag_is_of_the_key_the_size_and_every_pixel() -> None:
    one = tag_of(KEY, frame())
    assert len(one) == ipc.FRAME_TAG_BYTES
    assert one == tag_of(KEY, frame().copy(order="F"))
    assert one != tag_of(OTHER_KEY, frame())
    assert one != tag_of(KEY, frame(shape=(100, 120)))


@given(st.integers(0, 119), st.integers(0, 99), st.integers(1, 255))
def test_one_grey_level_of_one_pixel_makes_another_frame(row: int, column: int, by: int) -> None:
    changed = frame()
    changed[row, column] ^= by
    assert tag_of(KEY, changed) != tag_of(KEY, frame())
