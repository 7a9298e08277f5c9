"""Echo answers: ours are taken, nobody else's."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import echo

COOKIE = b"c" * 16


@given(st.sampled_from([4, 6]), st.integers(0, 2**20))
def test_an_answer_names_its_request(version: int, sequence: int) -> None:
    asked = echo.request(version, sequence, COOKIE)
    reply = bytes([{4: 0, 6: 129}[version]]) + asked[1:]
    assert echo.parse_reply(version, reply, COOKIE) == sequence & 0xFFFF


@pytest.mark.parametrize("version", [4, 6])
def test_a_request_another_cookie_or_an_error_is_no_answer(version: int) -> None:
    asked = echo.request(version, 1, COOKIE)
    reply = bytes([{4: 0, 6: 129}[version]]) + asked[1:]
    for data in (asked, reply[:-1], reply + b"x", bytes([3]) + reply[1:], b""):
        with pytest.raises(DecodeError):
            echo.parse_reply(version, data, COOKIE)
    with pytest.raises(DecodeError):
        echo.parse_reply(version, reply, b"d" * 16)
    with pytest.raises(DecodeError):
        echo.parse_reply(10 - version, reply, COOKIE)


@given(st.sampled_from([4, 6]), st.binary(max_size=64))
def test_arbitrary_bytes_are_an_answer_or_refused(version: int, data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        echo.parse_reply(version, data, COOKIE)
