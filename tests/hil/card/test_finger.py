"""A finger in the card's memory."""

import pytest

from hil.card.apdu import Refusal
from hil.card.finger import Finger
from tests.hil.card.helpers import three_n


def test_the_finger_matches_and_another_costs_a_try() -> None:
    finger = Finger(three_n(1), 3)
    with pytest.raises(Refusal, match="63C2"):
        finger.check(three_n(2))
    finger.check(three_n(1))
    assert finger.retries.left == 3


def test_nothing_shows_the_reference() -> None:
    assert repr(Finger(three_n(1), 3)) == "Finger(tries_left=3)"
