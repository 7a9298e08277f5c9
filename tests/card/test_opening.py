"""What a card shows to anybody, of which kind it is, and what it costs: nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import pad
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import Refused
from tests import kinds
from tests.card.double import PivDouble
from tests.card.test_conversation import KINDS, outcome, salt, talk
from tests.card.test_conversation_person import holding
from tests.card.test_occ import TWO

ALL = (kinds.MATCH_7816, kinds.MATCH, kinds.PIN, kinds.FREE)

# -- reading ---------------------------------------------------------------------------------------


def test_the_card_shows_its_certificates() -> None:
    card = PivDouble(**{"9A": "P-384", "9D": "RSA-2048"})
    face = talk(card)[0].open(KINDS)
    assert face.certificates == card.certificates
    assert (face.guid, face.kind) == (bytes(range(16)), kinds.FREE)
    assert (face.pin_left, face.bits, face.match_left, face.pad) == (3, (), (), False)


def test_a_card_may_lack_the_discovery_object() -> None:
    card = PivDouble()
    del card.objects["7E"]
    assert talk(card)[0].open(KINDS).expires == "20300101"


@pytest.mark.parametrize("select", ["6A82", "6D00", "6999"])
def test_a_card_without_the_application_is_not_a_piv_card(select: str) -> None:
    """Fault 6."""
    card = PivDouble()
    card.select = bytes.fromhex(select)
    with pytest.raises(Refused, match=r"^not-a-piv-card$"):
        talk(card)[0].open(KINDS)


@pytest.mark.parametrize("name", ["5FC102", "5FC105", "5FC10B", "5FC101"])
def test_a_card_lacks_no_other_object(name: str) -> None:
    """Fault 15."""
    card = PivDouble()
    del card.objects[name]
    with pytest.raises(Refused, match=r"^card-data-invalid$"):
        talk(card)[0].open(KINDS)


@pytest.mark.parametrize("name", ["7E", "5FC102", "5FC105", "5FC10B", "5FC101"])
@given(data=st.data())
def test_a_damaged_object_is_refused_or_read(name: str, data: st.DataObject) -> None:
    card = PivDouble()
    damaged = bytearray(card.objects[name])
    damaged[data.draw(st.integers(0, 60)) % len(damaged)] ^= data.draw(st.integers(1, 255))
    card.objects[name] = bytes(damaged)
    assert outcome(talk(card)[0]) in {"read", "card-data-invalid"}


# -- of which kind ---------------------------------------------------------------------------------


def kind_of(card: PivDouble, *wanted: CardKind) -> str:
    conversation = Conversation(ScriptedCard(card, atr=card.atr), salt)
    try:
        return conversation.open(wanted or ALL).kind.name
    except Refused as error:
        return error.code


def test_a_card_is_of_the_first_kind_that_fits() -> None:
    card = PivDouble()
    assert kind_of(card) == "piv-free"
    card.atr = kinds.PIN.atr
    assert kind_of(card) == "piv-pin"
    assert kind_of(card, kinds.FREE, kinds.PIN) == "piv-free", "the list's order decides"
    assert kind_of(holding()) == "piv-match"
    assert kind_of(holding(0x21)) == "piv-match-7816"


def test_a_card_no_kind_fits_is_refused() -> None:
    assert kind_of(PivDouble(**{"9D": "RSA-2048"}), CardKind(name="p", algorithms=("P-256",))) == (
        "card-kind-unknown"
    )
    assert kind_of(PivDouble(), kinds.PIN) == "not-a-piv-card", "its answer to reset is not that"
    assert kind_of(holding(), kinds.FREE) == "card-kind-unknown"


def test_a_card_of_a_maker_has_its_own_application() -> None:
    """Fault 6: it is looked for by each name in turn, and selected again where that is needed."""
    own = bytes.fromhex("A0000001510000")
    piv = PivDouble()
    selected: list[bytes] = []

    def answer(frame: bytes) -> bytes:
        if frame[1] == 0xA4:
            aid = frame[5 : 5 + frame[4]]
            selected.append(aid)
            if aid == bytes(5):
                return b"\x6a\x82"
            named = bytes([0x4F, len(aid)]) + aid
            piv.objects["7E"] = b"\x7e" + bytes([len(named) + 5]) + named + b"\x5f\x2f\x02\x40\0"
            return b"\x61" + bytes([len(named)]) + named + b"\x90\x00"
        reply = piv(frame)
        assert isinstance(reply, bytes)
        return reply

    wanted = (
        CardKind(name="absent", aid=bytes(5)),
        CardKind(name="first", aid=own, comparison="card"),
        CardKind(name="second", algorithms=("RSA-3072",)),
        CardKind(name="third", aid=own),
    )
    conversation = Conversation(ScriptedCard(answer, atr=piv.atr), salt)
    assert conversation.open(wanted).kind.name == "third"
    assert [aid[:2].hex() for aid in selected] == ["0000", "a000", "a000", "a000"]
    assert selected[-1] == own


def test_a_contactless_card_is_refused_unread() -> None:
    scripted = ScriptedCard(PivDouble(), atr=bytes.fromhex("3B8B80014F0CA0000003080000100000"))
    with pytest.raises(Refused, match=r"^card-contactless$"):
        Conversation(scripted, salt).open(KINDS)
    assert [frame[1] for frame in scripted.frames] == [0xA4], "only whether it is still there"


# -- fingers and counters --------------------------------------------------------------------------


def test_fingers_and_counters_are_shown_and_cost_nothing() -> None:
    card = holding()
    card.left = {0x80: 0, 0x96: 5, 0x97: 2}
    face = Conversation(ScriptedCard(card, atr=card.atr), salt).open(ALL)
    assert [(bit.key, bit.position) for bit in face.bits] == [("96", 2), ("97", 2)]
    assert (face.match_left, face.pin_left) == ((5, 2), 0)
    assert card.left == {0x80: 0, 0x96: 5, 0x97: 2}


def test_a_card_may_have_no_pin() -> None:
    card = PivDouble()
    card.left = {}
    assert talk(card)[0].open(KINDS).pin_left is None


@pytest.mark.parametrize("reference", [0x80, 0x96])
def test_what_another_program_left_open_is_closed_first(reference: int) -> None:
    """A PIN given, or a finger matched, by whoever had the card before and did not reset it."""
    card = holding()
    card.given.add(reference)
    face = Conversation(ScriptedCard(card, atr=card.atr), salt).open(ALL)
    assert card.given == set()
    assert (face.match_left, face.pin_left) == ((5, 5), 3)


def test_what_can_not_be_closed_is_refused() -> None:
    card = PivDouble()
    always = ScriptedCard(lambda f: b"\x90\x00" if f[1] == 0x20 else card(f), atr=card.atr)
    with pytest.raises(Refused, match="card-data-invalid"):
        Conversation(always, salt).open(KINDS)


def test_fingers_without_references_or_unannounced_are_refused() -> None:
    silent = holding()
    del silent.left[0x97]
    assert kind_of(silent) == "card-data-invalid"
    unannounced = holding()
    unannounced.objects["7E"] = PivDouble().objects["7E"]
    assert kind_of(unannounced) == "card-data-invalid"


def test_a_card_that_says_it_holds_no_finger_compares_on_the_box() -> None:
    assert kind_of(PivDouble().hold("7F6103020100")) == "piv-free"
    assert TWO[:2] == b"\x7f\x61"


def test_an_object_that_is_not_to_be_read_is_no_answer() -> None:
    card = PivDouble()
    refusing = ScriptedCard(
        lambda f: b"\x69\x82" if f[5:] == bytes.fromhex("5C017E00") else card(f), atr=card.atr
    )
    with pytest.raises(Refused, match="card-data-invalid"):
        Conversation(refusing, salt).open(KINDS)


@pytest.mark.parametrize(
    ("wants", "pin", "shown"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_a_pad_is_used_where_there_is_one_and_the_kind_wants_it(
    wants: bool, pin: bool, shown: bool
) -> None:
    card = PivDouble()
    if not pin:
        card.left = {}
    features = bytes.fromhex("060442000DB6")
    scripted = ScriptedCard(
        card, atr=card.atr, reader=lambda code, _: features if code == pad.GET_FEATURES else b""
    )
    kind = CardKind(name="k", pad=wants)
    assert Conversation(scripted, salt).open((kind,)).pad is shown
