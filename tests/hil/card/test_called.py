"""Faults by name."""

import pytest

from hil.card import called
from hil.card.card import OtherCard, PivCard
from hil.card.faults import (
    EndlessMore,
    Fault,
    FlipBit,
    MalformObject,
    MuteAt,
    Refuse,
    ReplaceObject,
    ResetAt,
    SlowBy,
    SwapAt,
    TearAsSpent,
    TearAt,
    TearPoint,
)
from hil.card.malformed import Malformation
from hil.card.objects import Tag
from tests.hil.card.helpers import SELECT_PIV, get_data, self_made, three_n

OTHER = OtherCard()


def one(text: str) -> Fault:
    (fault,) = called.call([text], lambda: OTHER).faults
    return fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tear:7", TearAt(7)),
        ("half:3", TearAt(3, TearPoint.MID_REPLY)),
        ("spent:9", TearAsSpent(9)),
        ("mute:2", MuteAt(2)),
        ("slow:250", SlowBy(250)),
        ("slow:250@4", SlowBy(250, at=4)),
        ("endless:5", EndlessMore(5)),
        ("sw:6982@87/9D", Refuse(0x6982, 0x87, 0x9D)),
        ("sw:6f00@cb", Refuse(0x6F00, 0xCB)),
        ("reset:6", ResetAt(6)),
        ("swap:2", SwapAt(2, OTHER)),
        ("silent-swap:2", SwapAt(2, OTHER, silently=True)),
        ("flip:9A:100", FlipBit(Tag.CERTIFICATE_9A, 100)),
        ("flip:7F61:0", FlipBit(Tag.BIT_GROUP, 0)),
        ("missing:chuid", ReplaceObject(Tag.CHUID, None)),
        ("missing:5FC10A", ReplaceObject(Tag.CERTIFICATE_9C, None)),
        (
            "malformed:key-history:deep-nesting",
            MalformObject(Tag.KEY_HISTORY, Malformation.DEEP_NESTING),
        ),
    ],
)
def test_a_name_is_its_fault(text: str, fault: Fault) -> None:
    assert one(text) == fault


def test_a_bomb_is_small_and_says_that_it_is_compressed() -> None:
    fault = one("bomb:9e")
    assert isinstance(fault, ReplaceObject)
    assert fault.tag == Tag.CERTIFICATE_9E
    assert len(fault.content or b"") < 16 << 10
    assert (fault.content or b"").endswith(b"\x71\x01\x01\xfe\x00")


def test_a_clone_has_the_certificates_and_other_keys() -> None:
    card = PivCard.create()
    card.install(self_made(card))
    clone = called.call(["clone"], lambda: OTHER).altered(card)
    read = []
    for each in (card, clone):
        chip = each.power_on()
        chip.transmit(SELECT_PIV)
        read.append(get_data(chip.transmit, Tag.CERTIFICATE_9E))
    assert read[0] == read[1]
    assert card.public_keys()["9E"].public_numbers() != clone.public_keys()["9E"].public_numbers()


def test_a_blocked_card_has_no_tries_of_any_kind() -> None:
    card = PivCard.create(fingers={"96": (2, three_n(1))})
    blocked = called.call(["tear:3", "blocked"], lambda: OTHER)
    assert blocked.faults == (TearAt(3),)
    assert blocked.altered(card) is card
    assert (card.pin_tries_left, card.puk_tries_left, card.match_tries_left("96")) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tear", "tear:N"),
        ("tear:0", "tear:N"),
        ("tear:7 ", "tear:N"),
        ("sw:69@87", "sw:XXXX@INS"),
        ("explode", "tear:N, half:N"),
        ("", "tear:N, half:N"),
        ("missing:nothing", "no object is called nothing"),
        ("malformed:chuid:badly", "no way is called badly"),
    ],
)
def test_what_is_no_name_is_told_with_what_would_be(text: str, says: str) -> None:
    with pytest.raises(called.FaultNameError, match=says):
        called.call([text], lambda: OTHER)


def test_each_name_is_listed_and_has_a_pattern_of_its_own() -> None:
    listing = called.listing()
    for name in called.NAMES:
        assert f"\n{name.usage} " in f"\n{listing}"
        assert name.usage.split(":", maxsplit=1)[0] == name.pattern.split(":", maxsplit=1)[0]
