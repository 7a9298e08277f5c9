"""One card and its person: fingers it compares, a PIN it takes, and a swap behind our back."""

from collections.abc import Callable

import pytest

from sdbox_agent.card import pad, piv
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.card.token import Decision
from sdbox_agent.errors import AskAgain, Bug, Refused, SdboxError
from tests import kinds
from tests.card import double
from tests.card.double import PivDouble
from tests.card.test_conversation import POINT, RECEIPT, opened, salt, torn
from tests.card.test_occ import GROUP, TWO

# -- fingers ---------------------------------------------------------------------------------------

PROBE, OTHER = bytes(range(36)), bytes(range(36, 72))
OCC_KINDS = (kinds.MATCH_7816, kinds.MATCH, kinds.FREE)


def holding(form: int = 0x20) -> PivDouble:
    card = PivDouble().hold(TWO.hex(), PROBE, OTHER, form=form)
    card.atr = kinds.MATCH_7816.atr if form == 0x21 else kinds.MATCH.atr
    return card


def talk_to(card: PivDouble, **options: object) -> tuple[Conversation, ScriptedCard]:
    scripted = ScriptedCard(card, atr=card.atr, **options)
    conversation = Conversation(scripted, salt)
    conversation.open(OCC_KINDS)
    return conversation, scripted


@pytest.mark.parametrize("form", [0x20, 0x21])
def test_the_card_compares_and_counts(form: int) -> None:
    """Fault 13: what is left is the card's own count, of each finger by itself."""
    conversation, _ = talk_to(holding(form))
    assert conversation.compare("97", PROBE) == Decision(match=False, left=4)
    assert conversation.compare("96", PROBE) == Decision(match=True)
    assert conversation.compare("97", OTHER) == Decision(match=True)


def test_a_blocked_finger_is_told_as_such() -> None:
    """Fault 12: 6983 is an answer, not a fault, and nothing is left."""
    card = holding()
    card.left[0x96] = 1
    conversation, _ = talk_to(card)
    assert conversation.compare("96", OTHER) == Decision(match=False, left=0)
    assert conversation.compare("96", PROBE) == Decision(match=False, left=0)


@pytest.mark.parametrize(("key", "probe"), [("97", PROBE), ("96", PROBE[:-1]), ("96", PROBE[:33])])
def test_a_probe_no_finger_asks_for_is_our_own_fault(key: str, probe: bytes) -> None:
    card = PivDouble().hold(GROUP.hex(), PROBE)
    card.atr = kinds.MATCH.atr
    conversation, scripted = talk_to(card)
    before = len(scripted.frames)
    with pytest.raises(Bug, match="worker-protocol"):
        conversation.compare(key, probe)
    assert len(scripted.frames) == before


@pytest.mark.parametrize("what", ["compare", "unwrap", "pin", "receipt"])
def test_a_silently_swapped_card_is_asked_nothing(what: str) -> None:
    """Fault 9: another person's card behind the same connection, no event, no error."""
    card = holding()
    conversation, scripted = talk_to(card)
    card.objects["5FC102"] = double.chuid(guid=bytes(16))
    asked = {
        "compare": lambda: conversation.compare("96", PROBE),
        "unwrap": lambda: conversation.unwrap("ecdh", POINT),
        "pin": lambda: conversation.verify_pin(pin_field(), last=False),
        "receipt": lambda: conversation.sign(RECEIPT, "9A"),
    }
    with pytest.raises(Refused, match=r"^card-removed$"):
        asked[what]()
    assert card.left == {0x80: 3, 0x96: 5, 0x97: 5}
    assert not any(frame[1] == piv.INS_GENERAL_AUTHENTICATE for frame in scripted.frames)


def test_a_clone_of_the_chuid_signs_no_receipt() -> None:
    """Fault 9: the CHUID may be copied; the certificate that the receipt names is read again."""
    card = PivDouble()
    conversation, scripted = opened(card)
    card.objects["5FC105"] = double.certificate_object(double.certificate(double.key("P-256", "b")))
    with pytest.raises(Refused, match=r"^card-removed$"):
        conversation.sign(RECEIPT, "9A")
    assert not any(frame[1] == piv.INS_GENERAL_AUTHENTICATE for frame in scripted.frames)


@pytest.mark.parametrize("half", [None, 3, 5, 9])
def test_a_comparing_card_torn_at_any_exchange_is_told_as_removed(half: int | None) -> None:
    """Faults 3 and 4: from SELECT over the match to the receipt; no try is won by it."""

    def play(answer: Callable, atr: bytes) -> tuple[str, int]:
        scripted = ScriptedCard(answer, atr=atr)
        conversation = Conversation(scripted, salt)
        try:
            conversation.open(OCC_KINDS)
            conversation.compare("96", OTHER)
            conversation.compare("97", OTHER)
            conversation.sign(RECEIPT, "9A")
        except SdboxError as error:
            return error.code, len(scripted.frames)
        return "done", len(scripted.frames)

    clean = holding()
    told, exchanges = play(clean, clean.atr)
    assert (told, clean.left[0x96]) == ("done", 4)
    for at in range(exchanges):
        card = holding()
        assert play(torn(card, at, half), card.atr)[0] == "card-removed", at
        assert card.left[0x96] <= 5
    assert exchanges > 20


# -- the PIN ---------------------------------------------------------------------------------------


def pin_field(digits: bytes = b"123456") -> bytearray:
    return bytearray(digits.ljust(8, b"\xff"))


def test_a_pin_is_taken_or_counted() -> None:
    conversation, scripted = talk_to(PivDouble())
    assert conversation.verify_pin(pin_field(b"000000"), last=False) == 2
    assert conversation.verify_pin(pin_field(), last=False) is None
    sent = [kept for kept in scripted.sent if isinstance(kept, bytearray)]
    assert [bytes(frame) for frame in sent] == [bytes(13)] * 2, "overwritten"


def test_the_last_try_is_never_spent_unasked() -> None:
    card = PivDouble()
    conversation, _ = talk_to(card)
    card.left[0x80] = 1  # since it was opened
    with pytest.raises(AskAgain, match="pin-last-try"):
        conversation.verify_pin(pin_field(b"000000"), last=False)
    assert card.left[0x80] == 1
    assert conversation.verify_pin(pin_field(b"000000"), last=True) == 0
    assert conversation.verify_pin(pin_field(), last=True) == 0, "blocked: not asked again"
    assert card.left[0x80] == 0


def test_a_pin_that_is_gone_is_refused() -> None:
    card = PivDouble()
    conversation, _ = talk_to(card)
    del card.left[0x80]
    with pytest.raises(Refused, match="card-data-invalid"):
        conversation.verify_pin(pin_field(), last=False)


class Pad:
    """A reader with a pad: the answers it gives, in their order. No real one has been tried."""

    def __init__(self, card: PivDouble, *entries: bytes) -> None:
        self._card = card
        self._entries = list(entries)

    def __call__(self, code: int, data: bytes) -> bytes:
        if code == pad.GET_FEATURES:
            return bytes.fromhex("060442000DB6")
        assert (code, data) == (0x42000DB6, pad.request())
        entry = self._entries.pop(0)
        if len(entry) == 2:
            return entry
        return self._card(data[19:24] + entry.ljust(8, b"\xff"))


SHORT, TIMEOUT, CANCELLED = b"\x64\x03", b"\x64\x00", b"\x64\x01"


@pytest.mark.parametrize(
    ("entries", "left"),
    [
        ([b"123456"], None),
        ([b"654321"], 2),
        ([SHORT, b"123456"], None),
        ([SHORT] * 2 + [b"000000"], 2),
    ],
)
def test_a_pin_at_the_pad_never_passes_here(entries: list[bytes], left: int | None) -> None:
    card = PivDouble()
    conversation, scripted = talk_to(card, reader=Pad(card, *entries))
    assert conversation.verify_pin(None, last=False) == left
    assert not any(frame[1] == 0x20 and len(frame) > 5 for frame in scripted.frames)


@pytest.mark.parametrize(
    ("entries", "code"),
    [([TIMEOUT], "transaction-timeout"), ([CANCELLED], "cancelled"), ([SHORT] * 3, "cancelled")],
)
def test_a_pad_that_gets_no_pin_says_so(entries: list[bytes], code: str) -> None:
    card = PivDouble()
    conversation, _ = talk_to(card, reader=Pad(card, *entries))
    with pytest.raises(SdboxError, match=f"^{code}$"):
        conversation.verify_pin(None, last=False)
    assert card.left[0x80] == 3


def test_a_pad_is_used_only_where_there_is_one() -> None:
    conversation, _ = talk_to(PivDouble())
    with pytest.raises(Bug, match="worker-protocol"):
        conversation.verify_pin(None, last=False)


# -- the end ---------------------------------------------------------------------------------------


def test_what_was_given_is_closed_before_the_reset() -> None:
    card = holding()
    conversation, scripted = talk_to(card)
    conversation.compare("96", PROBE)
    conversation.verify_pin(pin_field(), last=False)
    assert card.given == {0x96, 0x80}
    conversation.stop()
    with pytest.raises(Refused, match="card-removed"):
        conversation.compare("96", PROBE)
    conversation.close()
    assert (card.given, scripted.resets) == (set(), 1)
