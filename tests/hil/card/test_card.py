"""A card in the hand: made, personalised, copied, and what it remembers."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from hil.card.card import OtherCard, PivCard, answer_to_reset
from hil.card.keys import generate
from hil.card.objects import Tag
from tests.hil.card.helpers import SELECT_PIV, authenticate, get_data, self_made, template, verify

WRONG = verify(b"999999\xff\xff")
THREE_N = bytes(range(60))


@pytest.mark.parametrize(
    ("made", "atr"),
    [
        ({}, "3B8B8131FE4580F9A0000003080000100042"),
        ({"fingers": {"96": (2, THREE_N)}}, "3B8B8131FE4580F9A0000003080000100042"),
        ({"pin_policy": "once"}, "3B8D8131FE4580F9A00000030800001000510114"),
        (
            {"pin_policy": "once", "fingers": {"96": (2, THREE_N)}},
            "3B8B8131FE4580F9A0000003080000100042",
        ),
        (
            {"verify": "7f2e", "fingers": {"96": (2, THREE_N)}},
            "3B8D8131FE4580F9A00000030800001000510217",
        ),
        ({"factory": True}, "3B8B8131FE4580F9A0000003080000100042"),
        ({"factory": True, "verify": "7f2e"}, "3B8D8131FE4580F9A00000030800001000510217"),
    ],
)
def test_the_atr_tells_the_kind(made: dict, atr: str) -> None:
    assert PivCard.create(**made).atr.hex().upper() == atr


def test_an_atr_checks_to_zero() -> None:
    check = 0
    for byte in answer_to_reset(b"\x80TEST")[1:]:
        check ^= byte
    assert check == 0


def test_keys_are_new_on_each_card() -> None:
    one, other = PivCard.create(), PivCard.create()
    numbers = [key.public_numbers() for card in (one, other) for key in card.public_keys().values()]
    assert len(set(numbers)) == 6
    assert one.guid != other.guid


def test_guid_and_expiry_are_what_was_asked_for() -> None:
    guid = UUID("00112233-4455-4677-8899-aabbccddeeff")
    chip = PivCard.create(guid=guid, expires=date(2020, 1, 31)).power_on()
    chip.transmit(SELECT_PIV)
    chuid, _ = get_data(chip.transmit, Tag.CHUID)
    assert b"\x34\x10" + guid.bytes + b"\x35\x0820200131" in chuid


def test_a_card_lasts_four_years_unless_told_otherwise() -> None:
    chip = PivCard.create().power_on()
    chip.transmit(SELECT_PIV)
    chuid, _ = get_data(chip.transmit, Tag.CHUID)
    expires = datetime.strptime(chuid[-12:-4].decode(), "%Y%m%d").replace(tzinfo=UTC)
    assert timedelta(days=1457) < expires - datetime.now(tz=UTC) < timedelta(days=1462)


def test_keys_made_before_are_used() -> None:
    key = generate("P-384")
    card = PivCard.create(ready_keys={"9D": key})
    assert card.public_keys()["9D"].public_numbers() == key.public_key().public_numbers()
    assert set(card.public_keys()) == {"9A", "9D", "9E"}


@pytest.mark.parametrize("compressed", [(), ("9A",)])
def test_installed_certificates_are_read_back(compressed: tuple[str, ...]) -> None:
    card = PivCard.create()
    made = self_made(card)
    card.install(made, compressed=compressed)
    chip = card.power_on()
    chip.transmit(SELECT_PIV)
    data, sw = get_data(chip.transmit, Tag.CERTIFICATE_9A)
    assert sw == 0x9000
    assert (made["9A"] in data) == (not compressed)
    assert data.endswith(b"\x71\x01\x01\xfe\x00" if compressed else b"\x71\x01\x00\xfe\x00")


def test_a_certificate_for_another_key_is_not_installed() -> None:
    card = PivCard.create()
    made = self_made(card)
    with pytest.raises(ValueError, match="not for this card's key 9A"):
        card.install({"9A": made["9D"]})
    with pytest.raises(ValueError, match="not for this card's key 9A"):
        PivCard.create().install({"9A": made["9A"]})


def test_the_pin_counter_survives_power_and_the_pin_status_does_not() -> None:
    card = PivCard.create(pin_policy="once")
    chip = card.power_on()
    chip.transmit(SELECT_PIV)
    chip.transmit(verify())
    chip.transmit(WRONG)
    chip = card.power_on()
    chip.transmit(SELECT_PIV)
    assert chip.transmit(bytes.fromhex("00200080")) == b"\x63\xc4"
    assert card.pin_tries_left == 4
    card.block_pin()
    assert chip.transmit(verify()) == b"\x69\x83"


def test_a_clone_shows_the_same_and_signs_with_another_key() -> None:
    card = PivCard.create()
    card.install(self_made(card))
    clone = card.clone()
    readings = []
    for each in (card, clone):
        chip = each.power_on()
        chip.transmit(SELECT_PIV)
        readings.append([get_data(chip.transmit, tag) for tag in (Tag.CHUID, Tag.CERTIFICATE_9E)])
    assert readings[0] == readings[1]
    assert card.public_keys()["9E"].public_numbers() != clone.public_keys()["9E"].public_numbers()
    clone.block_pin()
    assert card.pin_tries_left == 5


def test_a_crossed_card_uses_the_wrong_key() -> None:
    card = PivCard.create(algorithms={"9A": "P-256", "9D": "P-384", "9E": "P-256"})
    crossed = card.crossed("9A", uses="9E")
    held = crossed.public_keys()
    assert held["9A"].public_numbers() == card.public_keys()["9E"].public_numbers()
    assert held["9D"].public_numbers() == card.public_keys()["9D"].public_numbers()


def test_a_card_without_piv_knows_no_name() -> None:
    chip = OtherCard().power_on()
    assert chip.transmit(SELECT_PIV) == b"\x6a\x82"
    assert get_data(chip.transmit, Tag.CHUID)[1] == 0x6D00
    assert authenticate(chip.transmit, "P-256", 0x9E, template(0x81, bytes(32)))[1] == 0x6D00


def test_neither_pin_nor_keys_nor_objects_are_shown() -> None:
    card = PivCard.create(pin="87654321")
    shown = repr(card) + repr(card._memory)
    assert "87654321" not in shown
    assert "object at" not in shown
    assert "\\x" not in shown
