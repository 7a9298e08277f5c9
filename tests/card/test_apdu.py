"""Frames: cut, chained, collected, bounded."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import apdu
from sdbox_agent.card.apdu import Command, Response
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.errors import DecodeError


def replies(*texts: str, t0: bool = False) -> ScriptedCard:
    left = [bytes.fromhex(text) for text in texts]
    return ScriptedCard(lambda _: left.pop(0), t0=t0)


def hexes(frames: list[bytes]) -> list[str]:
    return [frame.hex().upper() for frame in frames]


@pytest.mark.parametrize(
    ("command", "t0", "frames"),
    [
        (Command(0xA4, 4, 0, b"\xa0\x00"), False, ["00A4040002A00000"]),
        (Command(0xA4, 4, 0, b"\xa0\x00"), True, ["00A4040002A000"]),  # T=0 case 4: no Le
        (Command(0x20, 0, 0x80, expects=False), False, ["00200080"]),
        (Command(0x20, 0, 0x80, expects=False), True, ["0020008000"]),  # T=0: always P3
        (Command(0xC0, 0, 0), False, ["00C0000000"]),
        (
            Command(0x87, 7, 0x9D, b"\x01" * 256),
            False,
            ["1087079DFF" + "01" * 255, "0087079D010100"],
        ),
    ],
)
def test_a_command_becomes_these_frames(command: Command, t0: bool, frames: list[str]) -> None:
    assert hexes(apdu.frames(command, t0=t0)) == frames


@given(st.binary(max_size=1200), st.booleans())
def test_the_frames_carry_the_data_whole(data: bytes, t0: bool) -> None:
    frames = apdu.frames(Command(0x87, 1, 2, data), t0=t0)
    assert b"".join(frame[5 : 5 + frame[4]] for frame in frames if len(frame) > 5) == data
    assert [frame[0] for frame in frames] == [0x10] * (len(frames) - 1) + [0]
    assert all(len(frame) <= 261 for frame in frames)


@given(st.binary(max_size=300))
def test_a_reply_is_read_or_refused(reply: bytes) -> None:
    try:
        response = apdu.parse(reply)
    except DecodeError:
        return
    assert response.data + response.sw.to_bytes(2) == reply


@pytest.mark.parametrize(
    "text", ["", "90", "7C82", "0000", "6000", "A000", "F000", "53829000" * 65]
)
def test_a_torn_reply_is_no_status_word(text: str) -> None:
    with pytest.raises(DecodeError):
        apdu.parse(bytes.fromhex(text))


def test_more_is_fetched_until_there_is_no_more() -> None:
    card = replies("01 6102", "0203 6100", "04 9000")
    assert apdu.transmit(card, Command(0xCB, 0x3F, 0xFF, b"x")) == Response(b"\1\2\3\4", 0x9000)
    assert hexes(card.frames[1:]) == ["00C0000002", "00C0000000"]


def test_a_wrong_le_is_mended_once() -> None:
    card = replies("6C05", "0102030405 9000")
    assert apdu.transmit(card, Command(0xCB, 0x3F, 0xFF, b"x")).data == bytes(range(1, 6))
    assert hexes(card.frames) == ["00CB3FFF017800", "00CB3FFF017805"]
    card = replies("6C05", "6C05")
    assert apdu.transmit(card, Command(0xCB, 0x3F, 0xFF, b"x")).sw == 0x6C05


def test_a_refused_chain_is_not_sent_on() -> None:
    card = replies("6982")
    assert apdu.transmit(card, Command(0x87, 7, 0x9D, bytes(300))).sw == 0x6982
    assert len(card.frames) == 1


@pytest.mark.parametrize("middle", ["01 9000", "6110"])
def test_a_chain_brings_no_data_before_its_end(middle: str) -> None:
    with pytest.raises(DecodeError):
        apdu.transmit(replies(middle), Command(0x87, 7, 0x9D, bytes(300)))


@pytest.mark.parametrize(
    ("answer", "rounds"),
    [
        (lambda _: b"\x61\xff", apdu.MAX_ROUNDS + 1),
        (lambda _: b"\x00" * 256 + b"\x61\xff", 65),  # 16 KiB and one more
    ],
)
def test_a_response_without_end_is_cut_off(answer: Callable[[bytes], bytes], rounds: int) -> None:
    card = ScriptedCard(answer)
    with pytest.raises(DecodeError):
        apdu.transmit(card, Command(0xCB, 0x3F, 0xFF, b"x"))
    assert len(card.frames) == rounds
