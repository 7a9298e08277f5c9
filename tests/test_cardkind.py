"""What is said of a card between processes is closed and bounded."""

import msgspec
import pytest

from sdbox_agent.cardkind import Bit, CardKind
from tests import kinds


def test_every_kind_and_finger_is_read_back_as_it_was_written() -> None:
    finger = Bit(key="96", position=2, minimum=12, maximum=60, order=9)
    for value in (kinds.FREE, kinds.PIN, kinds.MATCH, kinds.MATCH_7816, finger):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


def test_a_card_compares_if_its_kind_does_and_it_shows_a_finger() -> None:
    finger = Bit(key="96", position=2, minimum=12, maximum=60, order=9)
    assert kinds.MATCH.compares((finger,))
    assert not kinds.MATCH.compares(())
    assert not kinds.FREE.compares((finger,))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "95"), ("position", 11), ("minimum", 0), ("maximum", 256), ("order", 256),
        ("score", 1),
    ],
)  # fmt: skip
def test_a_finger_out_of_bounds_is_refused(field: str, value: object) -> None:
    good = {"key": "96", "position": 2, "minimum": 12, "maximum": 60, "order": 9}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**good, field: value}, Bit)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../x"), ("access", "nfc"), ("aid", b"1234"), ("atr", bytes(34)),
        ("algorithms", ()), ("proof_key", "9D"), ("pin_policy", "sometimes"), ("verify", "any"),
    ],
)  # fmt: skip
def test_a_kind_out_of_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.structs.asdict(kinds.FREE), field: value}, CardKind)
