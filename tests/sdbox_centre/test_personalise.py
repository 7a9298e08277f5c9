"""Personalising a card: from blank to believed, also in pieces, and never one that a PIN opens."""

import contextlib
import secrets

import pytest

from hil.card.card import OtherCard, PivCard
from hil.direct import Direct
from sdbox_agent.card import apdu, piv
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.pki import certificate
from sdbox_centre import authority, deskcard, personalise
from sdbox_centre.cardobjects import bit_group, wrapped
from sdbox_centre.cardrules import CardRules
from sdbox_centre.deskcard import DeskCard
from tests import kinds
from tests.pki import grown
from tests.pki.grown import DAY, GUID, NOW, NOW_S
from tests.sdbox_centre.desking import (
    BITS,
    CODES,
    END,
    MANAGEMENT_KEY,
    Bench,
    Lie,
    blank,
    desk,
    head,
    is_bound,
    order,
    touch,
)

MATCHING = [kinds.MATCH, kinds.MATCH_7816]
SELECT = apdu.frames(piv.select())[0]
ALL = [kinds.FREE, kinds.PIN, *MATCHING]


def name(kind) -> str:
    return kind.name


def make(card, kind, **changes) -> personalise.Personalised:
    return desk(lambda: Direct(card)).personalise(order(kind, **changes), NOW, touch)


def opened(card) -> DeskCard:
    made = DeskCard(Direct(card), secrets.token_bytes)
    made.select()
    return made


# -- what comes out --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL, ids=name)
def test_a_blank_card_becomes_one_that_is_believed(kind, tmp_path) -> None:
    card = blank(kind)
    made = make(card, kind)
    at_hand = opened(card)
    chuid = piv.decode_chuid(at_hand.read(piv.OBJECT_CHUID))
    assert (chuid.guid, chuid.expires) == (GUID, END.strftime("%Y%m%d"))
    three = (made.certificates.auth, made.certificates.key_management, made.certificates.card_auth)
    assert tuple(at_hand.certificate(slot) for slot in personalise.SLOTS) == three
    issuer = grown.card_authority()
    (tmp_path / "cards.pem").write_bytes(authority.pem_of(issuer.certificate))
    (tmp_path / "cards.crl").write_bytes(issuer.crl(1, NOW))
    rules = CardRules(tmp_path / "cards.pem", [tmp_path / "cards.crl"])
    rules.check(*three, NOW_S)  # raises, if there is anything wrong with them
    assert is_bound(three[0]) is (kind.comparison == "card")
    assert (made.proof is not None) is (kind.comparison == "card")


@pytest.mark.parametrize("algorithm", ["P-256", "P-384", "RSA-2048"])
def test_every_algorithm_of_a_kind(algorithm) -> None:
    made = make(blank(kinds.FREE), kinds.FREE, algorithm=algorithm)
    for der in (made.certificates.auth, made.certificates.key_management):
        assert certificate.algorithm(deskcard.public_key(der)) == algorithm


@pytest.mark.parametrize("kind", MATCHING, ids=name)
def test_each_finger_opens_a_match_bound_card_and_nothing_else_does(kind) -> None:
    card = blank(kind)
    made = make(card, kind, enrolled=2)
    assert made.proof is not None
    assert made.proof.opened == ("96", "97")
    assert (card.pin_tries_left, card.puk_tries_left) == (0, 0)
    at_hand = opened(card)
    assert at_hand.read(0x7F61) == wrapped(0x7F61, bit_group(BITS))
    assert at_hand.keys(made.certificates) == {piv.SW_SECURITY_STATUS}
    for bit in BITS:
        assert at_hand.compare(bit, touch(bit), kind.verify) == apdu.SW_OK
        assert at_hand.keys(made.certificates) == {apdu.SW_OK}
        at_hand.log_out(int(bit.key, 16))


def test_a_card_with_a_pin_has_its_holders_and_no_longer_the_factorys() -> None:
    card = blank(kinds.PIN)
    make(card, kinds.PIN)
    at_hand = opened(card)
    assert at_hand.give(b"123456\xff\xff") == 0x63C4
    assert at_hand.give(CODES.pin) == apdu.SW_OK


def test_the_same_order_again_changes_nothing() -> None:
    for kind in ALL:
        card = blank(kind)
        first = make(card, kind)
        assert make(card, kind).certificates == first.certificates


@pytest.mark.parametrize(
    "change",
    [
        {"guid": bytes(16)},
        {"common_name": "test-holder-02"},
        {"algorithm": "P-384"},
        {"end": grown.NOW + 30 * DAY},
    ],
)
def test_another_order_makes_new_keys(change) -> None:
    card = blank(kinds.MATCH)
    first = make(card, kinds.MATCH)
    second = make(card, kinds.MATCH, **change)
    for slot in ("auth", "key_management", "card_auth"):
        old, new = getattr(first.certificates, slot), getattr(second.certificates, slot)
        assert deskcard.public_key(old) != deskcard.public_key(new)


def test_a_certificate_of_a_foreign_authority_or_another_key_reference_is_replaced() -> None:
    card = blank(kinds.FREE)
    first = make(card, kinds.FREE)
    other = authority.authority("Test card authority", NOW - DAY)
    desk(lambda: Direct(card), authority=other).personalise(order(kinds.FREE), NOW)
    again = make(card, kinds.FREE)
    assert again.certificates != first.certificates
    card.install({"9A": again.certificates.auth})
    swapped = grown.card_authority().card_certificate(
        "9E",
        deskcard.public_key(again.certificates.auth),
        authority.card_subject(GUID, "test-holder-01"),
        NOW,
        order(kinds.FREE).end,
    )
    card.install({"9A": swapped})
    assert make(card, kinds.FREE).certificates.auth not in (swapped, again.certificates.auth)


def test_a_match_bound_certificate_is_not_left_on_a_card_of_another_kind() -> None:
    # the same authority, GUID and key, but a kind whose finger the box compares
    card = blank(kinds.FREE)
    make(card, kinds.FREE)
    bound = make(blank(kinds.MATCH), kinds.MATCH)
    memory_key = card.public_keys()["9A"]
    assert bound.proof is not None
    fake = personalise.dataclasses.replace(bound.proof, auth=memory_key)
    der = grown.card_authority().card_match_bound(
        fake, "test-holder-01", NOW, order(kinds.FREE).end
    )
    card.install({"9A": der})
    assert not is_bound(make(card, kinds.FREE).certificates.auth)


# -- torn (fault 5) --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kinds.PIN, kinds.MATCH], ids=name)
def test_fault_5_torn_at_every_command_it_goes_on(kind) -> None:
    whole = Bench(blank(kind))
    desk(whole.connect).personalise(order(kind), NOW, touch)
    commands = len(whole.commands)
    assert commands > 40
    for at in range(1, commands + 1):
        bench = Bench(blank(kind))
        bench.tear_at = at
        with pytest.raises(Refused, match="card-removed"):
            desk(bench.connect).personalise(order(kind), NOW, touch)
        never_bound_and_open(bench.card)
        made = desk(bench.connect).personalise(order(kind), NOW, touch)
        assert is_bound(made.certificates.auth) is (kind is kinds.MATCH)


@pytest.mark.slow
def test_fault_5_torn_again_and_again_it_still_ends() -> None:
    for kind in (kinds.PIN, kinds.MATCH):
        bench = Bench(blank(kind))
        made = None
        for step in range(1, 400, 7):
            bench.commands.clear()
            bench.tear_at = step
            with contextlib.suppress(Refused):
                made = desk(bench.connect).personalise(order(kind), NOW, touch)
                break
            never_bound_and_open(bench.card)
        assert made is not None


def never_bound_and_open(card: PivCard) -> None:
    """Whatever happened: a certificate that says "a finger alone" never lies."""
    if is_bound(opened(card).certificate("9A")):
        assert (card.pin_tries_left, card.puk_tries_left) == (0, 0)


# -- refused ---------------------------------------------------------------------------------------


def test_keys_that_are_not_those_of_the_certificates() -> None:
    for kind in (kinds.FREE, kinds.MATCH):
        first = blank(kind)
        make(first, kind)
        copy = first.clone()  # everything that can be read, over other keys
        with pytest.raises(Refused, match="card-not-genuine"):
            make(copy, kind)


def test_nobody_touches_a_card_that_was_changed_for_another() -> None:
    cards = [blank(kinds.MATCH), blank(kinds.MATCH)]
    make(cards[1], kinds.MATCH)
    turns, asked = iter(cards), []
    with pytest.raises(Refused, match="card-not-genuine"):
        desk(lambda: Direct(next(turns))).personalise(order(kinds.MATCH), NOW, asked.append)
    assert not asked


def test_no_pin_goes_to_a_card_that_was_changed_for_another() -> None:
    card = blank(kinds.PIN)
    make(card, kinds.PIN)
    seen = []
    turns = iter([card, card.crossed("9E", "9A")])
    with pytest.raises(Refused, match="card-not-genuine"):
        desk(lambda: Lie(next(turns), lambda frame, _: seen.append(frame))).personalise(
            order(kinds.PIN), NOW
        )
    assert not any(head(frame, 0x20, 0x80) for frame in seen)


@pytest.mark.parametrize(("ins", "reference"), [(0x20, 0x80), (0x87, 0x9A)])
def test_a_match_bound_card_that_opens_at_the_last_look_is_none(ins, reference) -> None:
    card = blank(kinds.MATCH)
    connections = []

    def at_last(frame, honest):
        p1 = 0x11 if ins == 0x87 else 0
        return b"\x63\xc3" if len(connections) == 3 and head(frame, ins, reference, p1) else None

    def connect():
        connections.append(None)
        return Lie(card, at_last)

    with pytest.raises(Fault, match="card-not-personalised"):
        desk(connect).personalise(order(kinds.MATCH), NOW, touch)


def test_a_management_key_that_is_not_the_cards() -> None:
    card = blank(kinds.FREE, admin_key=bytes(32))
    with pytest.raises(Fault, match="card-not-personalised"):
        make(card, kinds.FREE)
    assert card.public_keys() == {}


def test_a_card_that_opens_otherwise_than_its_kind_says() -> None:
    with pytest.raises(Fault, match="card-not-personalised"):
        make(blank(kinds.PIN), kinds.FREE)  # asks for a PIN, and should not
    with pytest.raises(Fault, match="card-not-personalised"):
        make(blank(kinds.FREE), kinds.PIN)  # does not, and should


def test_a_holders_codes_that_cannot_be_set() -> None:
    with pytest.raises(Fault, match="card-not-personalised"):
        make(blank(kinds.PIN, puk="11111111"), kinds.PIN)


@pytest.mark.parametrize(
    ("tag", "lie"),
    [
        (0x7E, b"\x7e\x00\x90\x00"),
        (0x5FC102, b"\x6a\x82"),
        (0x5FC105, b"\x6a\x82"),
        (0x5FC107, b"\x6f\x00"),
    ],
)
def test_what_is_read_back_is_what_was_written(tag, lie) -> None:
    card = blank(kinds.FREE)
    connections = []

    def at_last(frame, honest):
        asked = frame[1] == 0xCB and frame[7 : 7 + (tag.bit_length() + 7) // 8] == tag.to_bytes(
            (tag.bit_length() + 7) // 8
        )
        return lie if asked and len(connections) == 3 else None

    def connect():
        connections.append(None)
        return Lie(card, at_last)

    with pytest.raises(Fault, match="card-not-personalised"):
        desk(connect).personalise(order(kinds.FREE), NOW)


def test_no_piv_card_and_one_that_talks_nonsense() -> None:
    with pytest.raises(Refused, match="not-a-piv-card"):
        make(OtherCard(), kinds.FREE)

    def nonsense(frame, honest):
        return b"\x7c\x90\x00" if frame[1] == 0x87 else None

    with pytest.raises(Refused, match="card-data-invalid"):
        desk(lambda: Lie(blank(kinds.FREE), nonsense)).personalise(order(kinds.FREE), NOW)


def test_a_card_that_compares_wants_a_finger() -> None:
    with pytest.raises(ValueError, match="finger"):
        desk(lambda: Direct(blank(kinds.MATCH))).personalise(order(kinds.MATCH), NOW)


def test_the_desk_shows_no_key_and_no_finger() -> None:
    shown = repr(desk(lambda: None)) + repr(order(kinds.MATCH)) + repr(order(kinds.PIN))
    assert MANAGEMENT_KEY.hex() not in shown
    for hidden in (MANAGEMENT_KEY, touch(BITS[0]), CODES.pin, CODES.puk):
        assert repr(hidden)[2:-1] not in shown
