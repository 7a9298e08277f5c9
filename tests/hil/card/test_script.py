"""Declared faults, played without a reader."""

import pytest

from hil.card.apdu import Sw
from hil.card.applet import GENERAL_AUTHENTICATE, VERIFY
from hil.card.card import PivCard
from hil.card.chip import Chip
from hil.card.faults import (
    EndlessMore,
    Fault,
    FlipBit,
    MalformObject,
    MuteAt,
    Refuse,
    ReplaceObject,
    ReplyAt,
    ResetAt,
    SlowBy,
    SwapAt,
    TearAsSpent,
    TearAt,
    TearPoint,
)
from hil.card.malformed import Malformation
from hil.card.objects import Tag
from hil.card.script import Act, Answer, Reset, Script, Silence, Swap, Tear
from tests.hil.card.helpers import SELECT_PIV, get_data, verify

CHUID = bytes.fromhex("00CB3FFF055C035FC10200")
MORE = bytes.fromhex("00C0000000")
WRONG = verify(b"999999\xff\xff")


def played(faults: list[Fault], commands: list[bytes], card: PivCard | None = None) -> list[Act]:
    script, chip = Script(faults), (card or PivCard.create()).power_on()
    script.fit(chip)
    return [script.play(n, raw, chip) for n, raw in enumerate(commands, 1)]


def answers(faults: list[Fault], commands: list[bytes]) -> list[str]:
    return [act.raw[-2:].hex() for act in played(faults, commands) if isinstance(act, Answer)]


def fitted(faults: list[Fault]) -> Chip:
    chip = PivCard.create().power_on()
    Script(faults).fit(chip)
    chip.transmit(SELECT_PIV)
    return chip


def test_without_faults_the_card_answers() -> None:
    assert answers([], [SELECT_PIV, CHUID, MORE]) == ["9000", "9000", "6985"]


@pytest.mark.parametrize(("point", "left"), [(TearPoint.COMMAND, 5), (TearPoint.REPLY, 4)])
def test_a_tear_before_the_command_leaves_the_counter_and_one_after_does_not(point, left) -> None:
    card = PivCard.create()
    assert played([TearAt(2, point)], [SELECT_PIV, WRONG], card)[1] == Tear()
    assert card.pin_tries_left == left


@pytest.mark.parametrize("given", [WRONG, verify(b"123456\xff\xff")])
def test_a_tear_before_the_comparison_costs_a_try_whatever_was_given(given: bytes) -> None:
    card = PivCard.create()
    assert played([TearAsSpent(2)], [SELECT_PIV, given], card)[1] == Tear()
    assert card.pin_tries_left == 4
    assert played([], [SELECT_PIV, verify(b"123456\xff\xff")], card)[1] == Answer(b"\x90\x00")
    assert card.pin_tries_left == 5


def test_a_tear_in_mid_reply_sends_half_of_it() -> None:
    whole = played([], [SELECT_PIV])[0]
    torn = played([TearAt(1, TearPoint.MID_REPLY)], [SELECT_PIV])[0]
    assert isinstance(whole, Answer)
    assert torn == Tear(len(whole.raw).to_bytes(2, "big") + whole.raw[: len(whole.raw) // 2])


def test_a_mute_card_has_acted() -> None:
    card = PivCard.create()
    assert played([MuteAt(2)], [SELECT_PIV, WRONG], card)[1] == Silence()
    assert card.pin_tries_left == 4


def test_a_swap_happens_before_the_command_is_acted_on() -> None:
    card, other = PivCard.create(), PivCard.create()
    assert played([SwapAt(2, other)], [SELECT_PIV, WRONG], card)[1] == Swap(other, silently=False)
    assert card.pin_tries_left == 5


def test_a_reply_can_be_anything() -> None:
    assert played([ReplyAt(1, b"\x90")], [SELECT_PIV]) == [Answer(b"\x90")]
    with pytest.raises(ValueError, match="mute"):
        ReplyAt(1, b"")
    assert answers([ReplyAt(2, b"\x91\x00")], [SELECT_PIV, CHUID, CHUID]) == [
        "9000",
        "9100",
        "9000",
    ]


def test_more_never_ends_until_something_else_is_asked() -> None:
    acts = played([EndlessMore(2, chunk_bytes=3)], [SELECT_PIV, CHUID, *[MORE] * 50, CHUID, MORE])
    assert acts[1:52] == [Answer(bytes(3) + b"\x61\xff")] * 51
    assert [act.raw[-2:].hex() for act in acts[52:] if isinstance(act, Answer)] == ["9000", "6985"]


def test_refusals_are_for_their_command_alone() -> None:
    faults = [
        Refuse(Sw.SECURITY_STATUS, GENERAL_AUTHENTICATE, 0x9D),
        Refuse(Sw.BLOCKED, VERIFY),
    ]
    to_9d, to_9e = bytes.fromhex("0087119D017C00"), bytes.fromhex("0087119E017C00")
    assert answers(faults, [SELECT_PIV, to_9d, to_9e, verify()]) == ["9000", "6982", "6a80", "6983"]


def test_an_object_is_replaced_or_gone() -> None:
    assert get_data(fitted([ReplaceObject(Tag.CHUID, b"x" * 700)]).transmit, Tag.CHUID) == (
        b"\x53\x82\x02\xbc" + b"x" * 700,
        0x9000,
    )
    chip = fitted([ReplaceObject(Tag.CHUID, None)])
    assert get_data(chip.transmit, Tag.CHUID) == (b"", 0x6A82)
    assert get_data(chip.transmit, Tag.DISCOVERY)[1] == 0x9000


@pytest.mark.parametrize("how", list(Malformation))
def test_an_object_is_malformed_on_the_wire(how: Malformation) -> None:
    genuine, _ = get_data(fitted([]).transmit, Tag.DISCOVERY)
    chip = fitted([MalformObject(Tag.DISCOVERY, how)])
    broken, sw = get_data(chip.transmit, Tag.DISCOVERY)
    assert sw == 0x9000
    assert broken != genuine


def test_slowness_is_of_one_exchange_or_of_all() -> None:
    script = Script([SlowBy(10), SlowBy(500, at=3)])
    assert [script.delay_ms(n) for n in (1, 3)] == [10, 510]


def test_two_faults_of_one_exchange_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="two faults"):
        Script([TearAt(3), MuteAt(3)])


def test_a_reset_is_played_once_and_the_same_apdu_again() -> None:
    script, chip = Script([ResetAt(2)]), PivCard.create().power_on()
    assert isinstance(script.play(1, SELECT_PIV, chip), Answer)
    assert script.play(2, CHUID, chip) == Reset()
    assert script.play(2, CHUID, PivCard.create().power_on()) == Answer(b"\x6d\x00")


def test_one_bit_is_turned_over_and_no_other() -> None:
    card = PivCard.create()

    def read(*faults: Fault) -> int:
        chip = card.power_on()
        Script(faults).fit(chip)
        chip.transmit(SELECT_PIV)
        data, sw = get_data(chip.transmit, Tag.CHUID)
        assert (len(data), sw) == (61, 0x9000)
        return int.from_bytes(data, "big")

    for bit, place in ((0, 0), (17, 17), (61 * 8 - 1, 61 * 8 - 1), (61 * 8 + 3, 3)):
        assert read() ^ read(FlipBit(Tag.CHUID, bit)) == 1 << (61 * 8 - 1 - place)
    assert read() == read(FlipBit(Tag.DISCOVERY, 1))
