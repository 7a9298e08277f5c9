"""The double keeps the contract of the port."""

import pytest

from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.errors import Fault
from tests.card import contract
from tests.card.double import PivDouble


def test_a_closed_card_stays_closed() -> None:
    card = ScriptedCard(PivDouble())
    contract.closes_for_good(card)
    assert card.resets == 1


def test_an_error_ends_it_for_good() -> None:
    piv = PivDouble()
    errors = [Fault("card-failed")]
    card = ScriptedCard(lambda frame: errors.pop() if errors else piv(frame))
    with pytest.raises(Fault, match="card-failed"):
        card.exchange(contract.SELECT)
    contract.is_dead(card)
    assert card.resets == 1


def test_a_stopped_card_says_nothing_but_goodbye() -> None:
    card = ScriptedCard(PivDouble(), atr=PivDouble.atr)
    contract.shows_its_answer_to_reset(card)
    contract.has_a_reader_without_a_pad(card)
    contract.is_stopped_for_good(card)
    assert (card.frames[-1], card.resets) == (contract.LOG_OUT, 1)


def test_an_error_of_the_reader_ends_it_too() -> None:
    card = ScriptedCard(PivDouble(), reader=lambda _code, _data: Fault("reader-missing"))
    with pytest.raises(Fault, match="reader-missing"):
        card.control(1, b"")
    contract.is_dead(card)
