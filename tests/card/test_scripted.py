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
