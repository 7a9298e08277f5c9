"""What every `Channel` keeps, the double and the real connection alike."""

import pytest

from sdbox_agent.card import apdu, piv
from sdbox_agent.card.channel import Channel
from sdbox_agent.errors import Refused

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
