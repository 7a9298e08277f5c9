"""Echo answers: ours are taken, nobody else's."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import echo

COOKIE = b"c" * 16


def answer(version: int, asked: bytes) -> bytes:
    return bytes([{4: 0, 6: 129}[version]]) + asked[1:]


@given(st.sampled_from([4, 6]), st.integers(0, 0xFFFF))
def test_an_answer_names_its_request(version: int, sequence: int) -> None:
    asked = echo.request(version, sequence, COOKIE)
    reply = echo.parse_reply(version, answer(version, asked), COOKIE)
    assert reply == echo.Reply(sequence, {4: 44, 6: 64}[version])
    assert echo.packet_bytes(version, asked) == reply.size_bytes


@given(st.sampled_from([4, 6]), st.integers(496, 1500))
def test_a_request_is_as_large_as_wanted_and_its_answer_says_so(version: int, size: int) -> None:
    asked = echo.request(version, 1, COOKIE, size)
    assert echo.packet_bytes(version, asked) == size
    assert echo.parse_reply(version, answer(version, asked), COOKIE).size_bytes == size


@pytest.mark.parametrize("version", [4, 6])
def test_a_request_another_cookie_or_an_error_is_no_answer(version: int) -> None:
    asked = echo.request(version, 1, COOKIE)
    reply = answer(version, asked)
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
