"""The channel without a reader keeps the contract of the one with."""

from hil.card.card import PivCard
from hil.direct import Direct
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
