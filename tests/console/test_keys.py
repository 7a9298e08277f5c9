"""Keys: those that mean something, whatever else comes and however it is cut."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.console.keys import MAX_SEQUENCE_BYTES, Key, decode


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (b"12\r", ["1", "2", Key.ENTER]),
        (b"\n\x7f\b", [Key.ENTER, Key.ERASE, Key.ERASE]),
        (b"\x1b[A\x1b[B", [Key.UP, Key.DOWN]),
        (b"\x1bOA\x1bOB", [Key.UP, Key.DOWN]),
        (b"\x1b[1;5A", []),
        (b"\x1b[15~\x1b[[A3", ["3"]),
        (b"\x1b5", ["5"]),
        (b"\x1b\r\x1b\x1b[A", [Key.ENTER, Key.UP]),
        (b"\x03\x1a\x1c\x04\x11\x13", []),
        ("&é\"'(-è_çà".encode(), list("1234567890")),
        ("１٣êÉ".encode(), []),
        (b"\xc31\xc3\xc3", []),
        (b"abc[A;\x00\xff", []),
        (b"\x1b[\x077", ["7"]),
    ],
)
def test_a_key_that_means_something_is_told_and_no_other(
    typed: bytes, found: list[Key | str]
) -> None:
    assert decode(typed) == (found, b"")


@given(
    st.lists(st.sampled_from([b"\x1b[A", b"\x1bOB", b"7", "é".encode(), b"\r", b"x", b"\x1b[3~"])),
    st.data(),
)
def test_a_sequence_may_be_cut_anywhere(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    at = data.draw(st.integers(0, len(whole)))
    first, begun = decode(whole[:at])
    second, rest = decode(begun + whole[at:])
    assert (first + second, rest) == (decode(whole)[0], b"")


@given(st.binary())
@example(b"\x1b")
@example(b"\x1b[" + b"1" * 40)
def test_any_bytes_are_keys_or_nothing_and_little_is_kept(typed: bytes) -> None:
    found, begun = decode(typed)
    assert len(begun) < MAX_SEQUENCE_BYTES
    assert all(isinstance(key, Key) or (len(key) == 1 and key in "0123456789") for key in found)
    assert typed.endswith(begun)
