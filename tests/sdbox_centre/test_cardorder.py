"""An order that no card could fulfil is none."""

import dataclasses

import pytest

from sdbox_centre.cardorder import StoredFinger
from tests import kinds
from tests.sdbox_centre.desking import BITS, CODES, minutiae, order


def finger(count: int = 30, extra: bytes = b"", bit=BITS[0]) -> StoredFinger:
    return StoredFinger(bit, minutiae("test-finger", count) + extra)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (kinds.FREE, {"guid": b"short"}),
        (kinds.MATCH, {"algorithm": "RSA-2048"}),  # not of that kind
        (kinds.FREE, {"fingers": (finger(),)}),
        (kinds.MATCH, {"fingers": ()}),
        (kinds.MATCH, {"fingers": (finger(), finger())}),
        (kinds.MATCH, {"fingers": (finger(11),)}),
        (kinds.MATCH, {"fingers": (finger(61),)}),
        (kinds.MATCH, {"fingers": (finger(extra=b"x"),)}),
        (kinds.MATCH, {"codes": CODES}),
        (kinds.FREE, {"codes": CODES}),
        (kinds.PIN, {"codes": None}),
    ],
)
def test_an_order_no_card_could_fulfil(kind, change) -> None:
    with pytest.raises(ValueError, match=r"."):
        order(kind, **change)


@pytest.mark.parametrize("count", [12, 60])
def test_a_finger_at_the_edge_of_its_bit(count) -> None:
    made = order(kinds.MATCH, enrolled=2)
    made = dataclasses.replace(made, fingers=(finger(count), made.fingers[1]))
    assert made.bits == BITS
