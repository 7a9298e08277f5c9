"""The compact card format: lossless, bounded, and refused at every single fault."""

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.biometrics import compact_2005 as compact
from sdbox_agent.biometrics.compact_2005 import CompactMinutia
from sdbox_agent.biometrics.minutia import MinutiaType
from sdbox_agent.errors import DecodeError

# Two minutiae written out by hand from the standard's table: an ending at 1.0 mm, 2.0 mm to the
# right; a bifurcation at the far corner, one step short of a whole turn.
BY_HAND = bytes.fromhex("0a1440 ffffbf")
MEANT = (
    CompactMinutia(10, 20, 0, MinutiaType.ENDING),
    CompactMinutia(255, 255, 63, MinutiaType.BIFURCATION),
)
minutiae = st.builds(
    CompactMinutia,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 63),
    st.sampled_from(MinutiaType),
)


def test_bytes_written_by_hand_are_read_as_meant() -> None:
    assert compact.decode(BY_HAND) == MEANT
    assert compact.encode(MEANT) == BY_HAND


@given(st.lists(minutiae, min_size=1, max_size=255))
def test_what_is_written_is_read_again(made) -> None:
    assert compact.decode(compact.encode(made)) == tuple(made)


@given(st.binary(max_size=3 * 256 + 2))
@example(b"")
@example(BY_HAND[:-1])
@example(b"\0\0\xc0")
@example(bytes(3 * 256))
def test_any_bytes_are_kept_whole_or_refused(data) -> None:
    try:
        found = compact.decode(data)
    except DecodeError:
        wrong_type = any(byte >> 6 == 3 for byte in data[2::3])
        assert wrong_type or len(data) % 3 or not 3 <= len(data) <= 3 * 255
    else:
        assert compact.encode(found) == data


@pytest.mark.parametrize(
    "change", [{"x": -1}, {"x": 256}, {"y": -1}, {"y": 256}, {"angle": -1}, {"angle": 64}]
)
def test_what_does_not_fit_is_not_written(change) -> None:
    with pytest.raises(DecodeError):
        compact.encode([dataclasses.replace(MEANT[0], **change)])


@pytest.mark.parametrize("count", [0, 256])
def test_a_list_is_neither_empty_nor_endless(count) -> None:
    with pytest.raises(DecodeError, match="number"):
        compact.encode(MEANT[:1] * count)


def test_nothing_of_a_finger_shows_in_a_repr() -> None:
    assert repr(MEANT[0]) == "<CompactMinutia>"
