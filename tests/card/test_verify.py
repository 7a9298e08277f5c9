"""VERIFY without data: what the answers mean, and that no command of it can spend a try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import apdu, verify
from sdbox_agent.errors import DecodeError


@pytest.mark.parametrize(
    ("sw", "left"),
    [(0x9000, None), (0x6983, 0), (0x63C0, 0), *((0x63C0 | x, x) for x in range(1, 16))],
)
def test_the_answers_mean_what_the_standard_says(sw: int, left: int | None) -> None:
    """Faults 12 and 13."""
    assert verify.decode_left(apdu.Response(b"", sw)) == left


@given(st.integers(0x6000, 0x9FFF))
def test_every_other_answer_is_refused(sw: int) -> None:
    if sw in {0x9000, 0x6983} or sw >> 4 == 0x63C:
        return
    with pytest.raises(DecodeError):
        verify.decode_left(apdu.Response(b"", sw))


def test_an_answer_with_data_is_refused() -> None:
    with pytest.raises(DecodeError):
        verify.decode_left(apdu.Response(b"\0", 0x9000))


def test_the_commands_carry_nothing() -> None:
    assert apdu.frames(verify.status(0x80)) == [bytes.fromhex("00200080")]
    assert apdu.frames(verify.reset(0x96)) == [bytes.fromhex("0020FF96")]
    assert apdu.frames(verify.status(0x97), t0=True) == [bytes.fromhex("0020009700")]
