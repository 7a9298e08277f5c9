"""What every `Channel` keeps, the double and the real connection alike."""

import pytest

from sdbox_agent.card import apdu, pad, pin, piv, verify
from sdbox_agent.card.channel import Channel
from sdbox_agent.errors import Refused

LOG_OUT = apdu.frames(verify.reset(pin.REFERENCE))[0]
SELECT = apdu.frames(piv.select())[0]


def answers(channel: Channel) -> None:
    """A live PIV card answers SELECT with a status word."""
    assert apdu.parse(channel.exchange(SELECT)).sw == apdu.SW_OK


def is_dead(channel: Channel) -> None:
    """For good: it never comes back, and closing it again is harmless."""
    for _ in range(3):
        with pytest.raises(Refused, match="card-removed"):
            channel.exchange(SELECT)
        channel.close()


def closes_for_good(channel: Channel) -> None:
    answers(channel)
    channel.close()
    is_dead(channel)


def is_stopped_for_good(channel: Channel) -> None:
    """But what it says in parting still goes through, before the reset."""
    answers(channel)
    channel.stop()
    for _ in range(2):
        with pytest.raises(Refused, match="card-removed"):
            channel.exchange(SELECT)
        with pytest.raises(Refused, match="card-removed"):
            channel.control(pad.GET_FEATURES, b"")
    channel.close((LOG_OUT,))
    is_dead(channel)


def shows_its_answer_to_reset(channel: Channel) -> None:
    """ISO/IEC 7816-3:2006 section 8.1: TS, and at most 32 characters after it."""
    assert 2 <= len(channel.atr) <= 33
    assert channel.atr[0] in {0x3B, 0x3F}


def has_a_reader_without_a_pad(channel: Channel) -> None:
    """It says so by an empty answer, and the card is still there."""
    assert channel.control(pad.GET_FEATURES, b"") == b""
    assert channel.control(0x42000DB6, b"") == b""
    answers(channel)
