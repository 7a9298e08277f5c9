"""Grey maps: what is read is what was there, and nothing else is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sdbox_agent.errors import DecodeError
from sdbox_agent.fingertool import pgm

images = arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(images)
def test_what_is_written_is_read(pixels: np.ndarray) -> None:
    assert np.array_equal(pgm.decode(pgm.encode(pixels)), pixels)


@given(st.binary() | st.binary().map(b"P5 2 2 255\n".__add__))
def test_anything_else_is_an_image_or_a_decode_error(data: bytes) -> None:
    try:
        pixels = pgm.decode(data)
    except DecodeError:
        return
    assert data.endswith(pixels.tobytes())


def test_rows_come_from_the_top_and_remarks_are_passed_over() -> None:
    found = pgm.decode(b"P5\n# who\n3 # wide\r 2\n255\n" + bytes([1, 2, 3, 4, 5, 35]))
    assert found.tolist() == [[1, 2, 3], [4, 5, 35]]


@pytest.mark.parametrize(
    "data",
    [
        b"P2 1 1 255\n0",
        b"P5 1 1 65535\n\0\0",
        b"P5 1 1 255\n",
        b"P5 1 1 255\n\0\0",
        b"P5 0 1 255\n",
        b"P5 99999 99999 255\n",
        b"P5 -1 -1 255\n\0",
        b"P5 #" + b"x" * 5000 + b"\n1 1 255\n\0",
    ],
)
def test_what_is_no_such_image_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        pgm.decode(data)
