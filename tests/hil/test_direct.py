"""The channel without a reader keeps the contract of the one with."""

import pytest

from hil.card.card import PivCard
from hil.direct import Direct
from sdbox_agent.errors import Refused
from tests.card import contract

VERIFY = bytes.fromhex("0020008008313233343536FFFF")
STATUS = bytes.fromhex("00200080")


def test_it_is_dead_after_its_end() -> None:
    contract.closes_for_good(Direct(PivCard.create()))


def test_each_channel_is_a_power_on() -> None:
    card = PivCard.create(pin_policy="once")
    first = Direct(card)
    for frame in (contract.SELECT, VERIFY):
        first.exchange(frame)
    assert first.exchange(STATUS) == b"\x90\x00"
    second = Direct(card)
    contract.answers(second)
    assert second.exchange(STATUS) == b"\x63\xc5"


def test_it_stops_says_farewell_and_knows_no_reader() -> None:
    card = PivCard.create(pin_policy="once")
    direct = Direct(card)
    assert (direct.atr, direct.control(1, b"")) == (card.atr, b"")
    direct.stop()
    for refused in (lambda: direct.exchange(STATUS), lambda: direct.control(1, b"")):
        with pytest.raises(Refused, match="card-removed"):
            refused()
    wrong = bytes.fromhex("0020008008393939393939FFFF")
    direct.close((contract.SELECT, wrong))
    assert card.pin_tries_left == 4
    direct.close((contract.SELECT, wrong))
    assert card.pin_tries_left == 4
